"""Exception classes of other languages, as they stand in the telemetry of services that are not Python.

All by the libraries' manuals: none of these runtimes is at hand in the tests.
"""

from __future__ import annotations

from typing import Final

from otel_monitor_processors.classification.category import CONTROL, Category, Meaning

_CONTENTION = """
    org.springframework.dao.CannotAcquireLockException org.springframework.dao.DeadlockLoserDataAccessException
    org.springframework.dao.PessimisticLockingFailureException
    org.springframework.dao.OptimisticLockingFailureException
    org.springframework.orm.ObjectOptimisticLockingFailureException
    org.hibernate.exception.LockAcquisitionException org.hibernate.StaleObjectStateException
    com.mysql.cj.jdbc.exceptions.MySQLTransactionRollbackException java.sql.SQLTransactionRollbackException
    jakarta.persistence.OptimisticLockException jakarta.persistence.LockTimeoutException
    Microsoft.EntityFrameworkCore.DbUpdateConcurrencyException
"""

_NETWORK = """
    java.net.ConnectException java.net.NoRouteToHostException java.net.UnknownHostException
    java.net.SocketException java.nio.channels.ClosedChannelException
    java.sql.SQLNonTransientConnectionException com.mysql.cj.jdbc.exceptions.CommunicationsException
    org.apache.http.NoHttpResponseException org.apache.http.conn.HttpHostConnectException
    io.netty.channel.AbstractChannel.AnnotatedConnectException io.lettuce.core.RedisConnectionException
    redis.clients.jedis.exceptions.JedisConnectionException
    org.apache.kafka.common.errors.DisconnectException org.apache.kafka.common.errors.NetworkException
    com.rabbitmq.client.AlreadyClosedException
    System.Net.Sockets.SocketException System.Net.Http.HttpRequestException
    StackExchange.Redis.RedisConnectionException
    net.OpError net.DNSError syscall.Errno
    connection_error name_resolution_error proxy_tunnel_error
"""

_TIMEOUT = """
    java.net.SocketTimeoutException java.util.concurrent.TimeoutException java.net.http.HttpTimeoutException
    java.sql.SQLTimeoutException org.springframework.dao.QueryTimeoutException
    io.lettuce.core.RedisCommandTimeoutException io.netty.handler.timeout.ReadTimeoutException
    org.apache.kafka.common.errors.TimeoutException
    System.TimeoutException StackExchange.Redis.RedisTimeoutException
    context.deadlineExceededError
    timeout
"""

_RESOURCE = """
    java.lang.OutOfMemoryError java.lang.StackOverflowError java.util.concurrent.RejectedExecutionException
    org.apache.http.conn.ConnectionPoolTimeoutException
    redis.clients.jedis.exceptions.JedisExhaustedPoolException
    System.OutOfMemoryException System.StackOverflowException
"""

_CONTROL = """
    java.lang.InterruptedException java.util.concurrent.CancellationException
    kotlinx.coroutines.JobCancellationException
    System.OperationCanceledException System.Threading.Tasks.TaskCanceledException
    AbortError
    cancelled canceled
"""

OTHER_LANGUAGES: Final[dict[str, Meaning]] = {
    name: meaning
    for meaning, block in (
        (Category.CONTENTION, _CONTENTION),
        (Category.NETWORK, _NETWORK),
        (Category.TIMEOUT, _TIMEOUT),
        (Category.RESOURCE, _RESOURCE),
        (CONTROL, _CONTROL),
    )
    for name in block.split()
}
"""Java, Kotlin, .NET, Go, JavaScript; and the plain words that the semantic conventions give as `error.type`."""
