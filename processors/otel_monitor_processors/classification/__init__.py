"""What an error means: contention, network, timeout, resource, a lost worker, or the application's own."""

from otel_monitor_processors.classification.attributes import classify_attributes, reports_error
from otel_monitor_processors.classification.category import Category
from otel_monitor_processors.classification.exceptions import classify

__all__ = ["Category", "classify", "classify_attributes", "reports_error"]
