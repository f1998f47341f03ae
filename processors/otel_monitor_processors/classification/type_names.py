"""Exception classes by their qualified names, so that nobody's library needs importing.

Python's built-in ones stand without a module. A class is what the first of its ancestors in these tables is.
Read from the sources of the libraries named; airflow's and ray's are by their manuals.
"""

from __future__ import annotations

from typing import Final

from otel_monitor_processors.classification.category import CONTROL, Category, Meaning

_CONTENTION = """
    sqlalchemy.orm.exc.StaleDataError
    psycopg.errors.SerializationFailure psycopg.errors.DeadlockDetected psycopg.errors.LockNotAvailable
    psycopg.errors.ObjectInUse psycopg.errors.IdleInTransactionSessionTimeout psycopg.errors.TransactionRollback
    psycopg.errors.TransactionIntegrityConstraintViolation
    asyncpg.exceptions.SerializationError asyncpg.exceptions.DeadlockDetectedError
    asyncpg.exceptions.LockNotAvailableError asyncpg.exceptions.ObjectInUseError
    asyncpg.exceptions.IdleInTransactionSessionTimeoutError asyncpg.exceptions.TransactionRollbackError
    asyncpg.exceptions.TransactionIntegrityConstraintViolationError
    redis.exceptions.LockError redis.exceptions.LockNotOwnedError redis.exceptions.WatchError
    redis.exceptions.TryAgainError
    amqp.exceptions.ResourceLocked aiormq.exceptions.ChannelLockedResource
    filelock._error.Timeout portalocker.exceptions.AlreadyLocked
    google.api_core.exceptions.Aborted
    huey.exceptions.TaskLockedException
"""

_NETWORK = """
    ConnectionError BrokenPipeError ConnectionAbortedError ConnectionRefusedError ConnectionResetError
    socket.gaierror socket.herror
    ssl.SSLEOFError ssl.SSLZeroReturnError ssl.SSLSyscallError
    http.client.RemoteDisconnected http.client.IncompleteRead http.client.BadStatusLine
    asyncio.exceptions.IncompleteReadError
    psycopg.errors.ConnectionTimeout psycopg.errors.AdminShutdown psycopg.errors.CrashShutdown
    psycopg.errors.CannotConnectNow psycopg.errors.ConnectionException psycopg.errors.ConnectionDoesNotExist
    psycopg.errors.ConnectionFailure psycopg.errors.SqlclientUnableToEstablishSqlconnection
    psycopg.errors.SqlserverRejectedEstablishmentOfSqlconnection psycopg.errors.TransactionResolutionUnknown
    psycopg.errors.ProtocolViolation psycopg.errors.ReadOnlySqlTransaction
    psycopg.errors.StatementCompletionUnknown
    asyncpg.exceptions.AdminShutdownError asyncpg.exceptions.CrashShutdownError
    asyncpg.exceptions.CannotConnectNowError asyncpg.exceptions.PostgresConnectionError
    asyncpg.exceptions.ConnectionDoesNotExistError asyncpg.exceptions.ConnectionFailureError
    asyncpg.exceptions.ClientCannotConnectError asyncpg.exceptions.ConnectionRejectionError
    asyncpg.exceptions.TransactionResolutionUnknownError asyncpg.exceptions.ProtocolViolationError
    asyncpg.exceptions.ReadOnlySQLTransactionError asyncpg.exceptions.StatementCompletionUnknownError
    mysql.connector.errors.ConnectionTimeoutError
    redis.exceptions.ReadOnlyError redis.exceptions.ClusterDownError redis.exceptions.MasterDownError
    amqp.exceptions.ConnectionForced pika.exceptions.AMQPHeartbeatTimeout pika.exceptions.StreamLostError
    httpx.ConnectTimeout httpcore.ConnectTimeout requests.exceptions.ConnectTimeout
    urllib3.exceptions.NameResolutionError urllib3.exceptions.ConnectTimeoutError
    urllib3.exceptions.IncompleteRead urllib3.exceptions.InvalidChunkLength
    aiohttp.client_exceptions.ConnectionTimeoutError aiohttp.client_exceptions.ClientConnectorDNSError
    aiohttp.client_exceptions.ServerDisconnectedError
    pymongo.errors.NotPrimaryError
    kafka.errors.KafkaConnectionError kafka.errors.NodeNotReadyError kafka.errors.CoordinatorNotAvailableError
    kafka.errors.BrokerNotAvailableError aiokafka.errors.KafkaConnectionError aiokafka.errors.NodeNotReadyError
    aiokafka.errors.NoBrokersAvailable
    botocore.exceptions.EndpointConnectionError botocore.exceptions.ConnectTimeoutError
    botocore.exceptions.ConnectionClosedError botocore.exceptions.ProxyConnectionError
    google.api_core.exceptions.ServiceUnavailable google.api_core.exceptions.BadGateway
    grpclib.exceptions.StreamTerminatedError
"""

_NETWORK_MOSTLY = """
    redis.exceptions.ConnectionError
    kombu.exceptions.OperationalError kombu.exceptions.InconsistencyError
    amqp.exceptions.ConnectionError amqp.exceptions.RecoverableConnectionError
    amqp.exceptions.IrrecoverableConnectionError amqp.exceptions.ConsumerCancelled amqp.exceptions.InternalError
    amqp.exceptions.FrameError amqp.exceptions.FrameSyntaxError amqp.exceptions.UnexpectedFrame
    pika.exceptions.AMQPConnectionError pika.exceptions.ConnectionClosed pika.exceptions.ConnectionClosedByBroker
    pika.exceptions.ConnectionWrongStateError pika.exceptions.ConnectionOpenAborted
    pika.exceptions.IncompatibleProtocolError
    aiormq.exceptions.AMQPConnectionError aiormq.exceptions.ConnectionClosed
    httpx.NetworkError httpx.ConnectError httpx.ReadError httpx.WriteError httpx.CloseError httpx.ProxyError
    httpx.RemoteProtocolError
    httpcore.NetworkError httpcore.ConnectError httpcore.ReadError httpcore.WriteError httpcore.ProxyError
    httpcore.RemoteProtocolError
    requests.exceptions.ConnectionError requests.exceptions.ChunkedEncodingError requests.exceptions.ProxyError
    urllib3.exceptions.ProtocolError urllib3.exceptions.NewConnectionError urllib3.exceptions.ProxyError
    aiohttp.client_exceptions.ClientConnectionError aiohttp.client_exceptions.ClientOSError
    aiohttp.client_exceptions.ClientConnectorError aiohttp.client_exceptions.ClientProxyConnectionError
    aiohttp.client_exceptions.UnixClientConnectorError aiohttp.client_exceptions.ServerConnectionError
    aiohttp.client_exceptions.ClientConnectionResetError aiohttp.client_exceptions.ClientPayloadError
    distributed.comm.core.CommClosedError distributed.comm.core.FatalCommClosedError
    pymongo.errors.ConnectionFailure pymongo.errors.AutoReconnect pymongo.errors.ServerSelectionTimeoutError
    dramatiq.errors.BrokerConnectionError dramatiq.errors.ConnectionClosed dramatiq.errors.ConnectionFailed
    taskiq.exceptions.SendTaskError
    botocore.exceptions.ConnectionError botocore.exceptions.HTTPClientError
    sqlalchemy.exc.DisconnectionError sqlalchemy.exc.InvalidatePoolError
"""

_TIMEOUT = """
    TimeoutError asyncio.exceptions.TimeoutError socket.timeout concurrent.futures._base.TimeoutError
    subprocess.TimeoutExpired multiprocessing.context.TimeoutError
    psycopg.errors.QueryCanceled psycopg.errors.IdleSessionTimeout psycopg.errors.TransactionTimeout
    asyncpg.exceptions.QueryCanceledError asyncpg.exceptions.IdleSessionTimeoutError
    asyncpg.exceptions.TransactionTimeoutError
    mysql.connector.errors.ReadTimeoutError mysql.connector.errors.WriteTimeoutError
    redis.exceptions.TimeoutError
    httpx.TimeoutException httpx.ReadTimeout httpx.WriteTimeout
    httpcore.TimeoutException httpcore.ReadTimeout httpcore.WriteTimeout
    requests.exceptions.Timeout requests.exceptions.ReadTimeout
    urllib3.exceptions.TimeoutError urllib3.exceptions.ReadTimeoutError
    aiohttp.client_exceptions.ServerTimeoutError aiohttp.client_exceptions.SocketTimeoutError
    grpc.FutureTimeoutError
    pymongo.errors.NetworkTimeout pymongo.errors.ExecutionTimeout pymongo.errors.WTimeoutError
    billiard.exceptions.SoftTimeLimitExceeded billiard.exceptions.TimeLimitExceeded celery.exceptions.TimeoutError
    rq.timeouts.BaseTimeoutException rq.timeouts.JobTimeoutException rq.timeouts.HorseMonitorTimeoutException
    dramatiq.middleware.time_limit.TimeLimitExceeded dramatiq.errors.QueueJoinTimeout
    dramatiq.results.errors.ResultTimeout
    huey.exceptions.TaskTimeout huey.exceptions.ResultTimeout
    taskiq.exceptions.TaskiqResultTimeoutError
    airflow.exceptions.AirflowTaskTimeout temporalio.exceptions.TimeoutError ray.exceptions.GetTimeoutError
    gevent.timeout.Timeout eventlet.timeout.Timeout trio.TooSlowError
    kafka.errors.KafkaTimeoutError kafka.errors.RequestTimedOutError
    aiokafka.errors.KafkaTimeoutError aiokafka.errors.RequestTimedOutError
    botocore.exceptions.ReadTimeoutError
    google.api_core.exceptions.DeadlineExceeded google.api_core.exceptions.GatewayTimeout
    google.api_core.exceptions.RetryError
"""

_RESOURCE = """
    MemoryError RecursionError
    queue.Full asyncio.queues.QueueFull
    sqlalchemy.exc.TimeoutError psycopg_pool.PoolTimeout psycopg_pool.TooManyRequests psycopg2.pool.PoolError
    mysql.connector.errors.PoolError httpx.PoolTimeout httpcore.PoolTimeout urllib3.exceptions.EmptyPoolError
    pymongo.errors.WaitQueueTimeoutError
    kombu.exceptions.LimitExceeded kombu.exceptions.ConnectionLimitExceeded kombu.exceptions.ChannelLimitExceeded
    psycopg.errors.InsufficientResources psycopg.errors.DiskFull psycopg.errors.OutOfMemory
    psycopg.errors.TooManyConnections psycopg.errors.ConfigurationLimitExceeded psycopg.errors.SystemError
    psycopg.errors.IoError psycopg.errors.UndefinedFile psycopg.errors.DuplicateFile psycopg.errors.FileNameTooLong
    asyncpg.exceptions.InsufficientResourcesError asyncpg.exceptions.DiskFullError
    asyncpg.exceptions.OutOfMemoryError asyncpg.exceptions.TooManyConnectionsError
    asyncpg.exceptions.ConfigurationLimitExceededError asyncpg.exceptions.PostgresSystemError
    asyncpg.exceptions.PostgresIOError asyncpg.exceptions.UndefinedFileError asyncpg.exceptions.DuplicateFileError
    asyncpg.exceptions.FileNameTooLongError
    redis.exceptions.OutOfMemoryError redis.exceptions.BusyLoadingError redis.exceptions.MaxConnectionsError
    amqp.exceptions.ResourceError amqp.exceptions.Blocked
    aiormq.exceptions.ConnectionResourceError
    pika.exceptions.ConnectionBlockedTimeout pika.exceptions.NoFreeChannels
    distributed.shuffle._exceptions.P2POutOfDiskError ray.exceptions.OutOfMemoryError ray.exceptions.OutOfDiskError
    dramatiq.errors.RateLimitExceeded huey.exceptions.RateLimitExceeded
    kafka.errors.ThrottlingQuotaExceededError
    google.api_core.exceptions.TooManyRequests google.api_core.exceptions.ResourceExhausted
"""

_WORKER_LOST = """
    concurrent.futures._base.BrokenExecutor concurrent.futures.process.BrokenProcessPool
    concurrent.futures.thread.BrokenThreadPool
    billiard.exceptions.WorkerLostError
    rq.exceptions.AbandonedJobError
    distributed.scheduler.KilledWorker
    loky.process_executor.BrokenProcessPool loky.process_executor.TerminatedWorkerError
    joblib.externals.loky.process_executor.BrokenProcessPool
    joblib.externals.loky.process_executor.TerminatedWorkerError
    ray.exceptions.WorkerCrashedError ray.exceptions.ActorDiedError ray.exceptions.NodeDiedError
    ray.exceptions.OwnerDiedError ray.exceptions.LocalRayletDiedError
"""

_CONTROL = """
    GeneratorExit StopIteration StopAsyncIteration SystemExit KeyboardInterrupt
    asyncio.exceptions.CancelledError concurrent.futures._base.CancelledError
    _queue.Empty queue.Empty queue.ShutDown asyncio.queues.QueueEmpty asyncio.queues.QueueShutDown
    celery.exceptions.TaskPredicate celery.exceptions.Retry celery.exceptions.Ignore celery.exceptions.Reject
    celery.exceptions.TaskRevokedError celery.exceptions.WorkerShutdown celery.exceptions.WorkerTerminate
    billiard.exceptions.Terminated
    dramatiq.errors.Retry dramatiq.middleware.middleware.SkipMessage
    dramatiq.threading.Interrupt dramatiq.middleware.shutdown.Shutdown
    rq.exceptions.ShutDownImminentException rq.exceptions.StopRequested
    huey.exceptions.RetryTask huey.exceptions.CancelExecution
    arq.worker.Retry arq.worker.RetryJob
    taskiq.exceptions.ScheduledTaskCancelledError
    procrastinate.exceptions.JobAborted procrastinate.exceptions.JobRetry
    distributed.exceptions.Reschedule distributed.client.FutureCancelledError
    airflow.exceptions.AirflowSkipException airflow.exceptions.AirflowRescheduleException
    airflow.exceptions.TaskDeferred
    temporalio.exceptions.CancelledError temporalio.activity._CompleteAsyncError
    temporalio.workflow._workflow_ops.ContinueAsNewError
    ray.exceptions.TaskCancelledError
    grpc.FutureCancelledError google.api_core.exceptions.Cancelled
    trio.Cancelled greenlet.GreenletExit
"""

_APPLICATION = """
    redis.exceptions.AuthenticationError redis.exceptions.AuthorizationError
    redis.exceptions.AuthenticationWrongNumberOfArgsError redis.exceptions.ExternalAuthProviderError
    amqp.exceptions.NotAllowed amqp.exceptions.InvalidPath amqp.exceptions.InvalidCommand
    amqp.exceptions.ChannelNotOpen amqp.exceptions.AMQPNotImplementedError
    pika.exceptions.AuthenticationError pika.exceptions.ProbableAuthenticationError
    pika.exceptions.ProbableAccessDeniedError
    pika.exceptions.ConnectionClosedByClient
    aiormq.exceptions.AuthenticationError aiormq.exceptions.ProbableAuthenticationError
    aiohttp.client_exceptions.ServerFingerprintMismatch
    urllib3.exceptions.ResponseNotChunked
    taskiq.exceptions.UnknownTaskError
"""
"""Descendants of connection errors that say: the peer answered, and does not want us like this."""

_APPLICATION_MOSTLY = """
    requests.exceptions.SSLError
    aiohttp.client_exceptions.ClientSSLError aiohttp.client_exceptions.ClientConnectorSSLError
    aiohttp.client_exceptions.ClientConnectorCertificateError
    botocore.exceptions.SSLError
"""

_PSYCOPG_3_ONLY: Final = frozenset({"psycopg.errors.ConnectionTimeout"})

_BY_MEANING: Final[tuple[tuple[Meaning, str], ...]] = (
    (Category.CONTENTION, _CONTENTION),
    (Category.NETWORK, _NETWORK),
    (Category.NETWORK, _NETWORK_MOSTLY),
    (Category.TIMEOUT, _TIMEOUT),
    (Category.RESOURCE, _RESOURCE),
    (Category.WORKER_LOST, _WORKER_LOST),
    (CONTROL, _CONTROL),
    (Category.APPLICATION, _APPLICATION),
    (Category.APPLICATION, _APPLICATION_MOSTLY),
)


def _named() -> dict[str, Meaning]:
    names = {name: meaning for meaning, block in _BY_MEANING for name in block.split()}
    named_alike = [name for name in names if name.startswith("psycopg.") and name not in _PSYCOPG_3_ONLY]
    return names | {name.replace("psycopg.", "psycopg2.", 1): names[name] for name in named_alike}


TYPE_NAMES: Final = _named()

WRAPPERS: Final = frozenset((_NETWORK_MOSTLY + _APPLICATION_MOSTLY).split())
"""Classes for whatever went wrong on the way to a peer: their text or their cause may know better (no file
descriptors left, the server's limit of clients, a read that timed out)."""
