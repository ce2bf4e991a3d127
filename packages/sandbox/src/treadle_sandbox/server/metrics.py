"""The server's counters in Prometheus's text format, gathered when they are asked for."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from treadle_sandbox.server.service import Service

_PREFIX = "treadle_sandbox_"


def render_metrics(service: Service) -> bytes:
    """Return the page."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Gatherer(service))
    return generate_latest(registry)


class _Gatherer(Collector):
    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        service = self._service
        state, tally, book = service.backend.statistics(), service.tally, service.book
        replays = book.replays + sum(held.calls.replays for held in book.all())
        gauges = {
            "slots": (state.slots, "Slots of the backend"),
            "slots_leased": (state.leased, "Slots in use"),
            "slots_quarantined": (state.quarantined, "Slots out of use"),
            "leases_waiting": (state.waiting, "Clients that wait for a slot"),
            "leases_held": (len(book), "Leases that clients hold"),
            "commands_running": (state.running, "Commands that run now"),
            "draining": (book.draining, "Whether new leases are refused"),
        }
        counters = {
            "leases": (state.leases, "Leases given"),
            "leases_expired": (book.expired, "Leases ended for want of a renewal or heartbeat"),
            "commands": (state.execs, "Commands run"),
            "command_timeouts": (state.timeouts, "Commands ended by their timeout"),
            "requests": (tally.requests, "Requests"),
            "requests_refused": (tally.refused, "Requests with a wrong token or none"),
            "requests_malformed": (tally.malformed, "Requests that were no HTTP"),
            "requests_replayed": (replays, "Calls that joined one of the same name"),
            "connections_dropped": (tally.dropped, "Connections above a limit or too slow"),
        }
        for name, (value, text) in gauges.items():
            yield GaugeMetricFamily(_PREFIX + name, text, float(value))
        for name, (value, text) in counters.items():
            yield CounterMetricFamily(_PREFIX + name, text, float(value))
        failures = CounterMetricFamily(_PREFIX + "failures", "Failures by type", labels=["type"])
        for kind, count in state.failures.items():
            failures.add_metric([kind], count)
        yield failures
        yield HistogramMetricFamily(
            _PREFIX + "command_seconds",
            "Time of commands in the server",
            tally.histogram(),
            tally.seconds,
        )
