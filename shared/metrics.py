"""Metrics: the only module that imports prometheus_client.

Names are `thwart_<noun>_<unit|total>`; label sets are small and closed, and no label is ever an address or an agent.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, start_http_server

__all__ = ["CONTENT_TYPE", "LATENCIES", "CollectorRegistry", "Counter", "Gauge", "Histogram", "exposition", "serve"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)  # s


def exposition(registry: CollectorRegistry) -> bytes:
    """What `/metrics` answers."""
    return generate_latest(registry)


def serve(registry: CollectorRegistry, host: str, port: int) -> int:
    """Serves `/metrics` from a thread of its own; the port that it listens on. Raises OSError when it is taken."""
    server, _ = start_http_server(port, addr=host, registry=registry)
    return int(server.server_port)
