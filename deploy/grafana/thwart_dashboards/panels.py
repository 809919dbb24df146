"""The few kinds of panels that the dashboards are made of, so that all of them look and behave alike.

A panel says in its description what it shows and what to do when it is bad. A number that has no data says whom it
misses, because a fleet whose manager is down must not look well.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from grafana_foundation_sdk.builders.common import (
    ReduceDataOptions,
    StackingConfig,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.builders.dashboard import Dashboard, DashboardLink, FieldColor, Row, ThresholdsConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DashboardSpecialValueMapOptions,
    DataSourceRef,
    FieldColorModeId,
    SpecialValueMap,
    SpecialValueMatch,
    Threshold,
    ThresholdsMode,
    ValueMappingResult,
)

# the jobs of deploy/prometheus/prometheus.yml; the last is the managers' queues, one by one
MANAGER, AGENT, RABBITMQ, QUEUES = "thwart-manager", "thwart-agent", "rabbitmq", "rabbitmq-queues"
SOURCE = DataSourceRef(type_val="prometheus", uid="thwart-prometheus")
TAG = "thwart"
PER_SECOND, SECONDS, BYTES, SHARE = "cps", "s", "bytes", "percentunit"


class Query(NamedTuple):
    """PromQL, and what a series of it is called: `{{label}}` is that label's word."""

    expression: str
    called: str = ""


def dashboard(name: str, what: str, numbers: Sequence[Stat], rows: Mapping[str, Sequence[Timeseries]]) -> Dashboard:
    """Four numbers, then what they were over time, by headings."""
    board = _empty(name, what)
    for panel in numbers:
        board.with_panel(panel)
    for title, panels in rows.items():
        board.with_row(Row(title))
        for each in panels:
            board.with_panel(each)
    for number, every in enumerate(board.build().panels or (), start=1):
        every.id_val = number
    return board


def _empty(name: str, what: str) -> Dashboard:
    """Of the last three hours, and read again every quarter of a minute."""
    return (
        Dashboard(name)
        .uid(f"thwart-{name.lower()}")
        .description(what)
        .tags([TAG])
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .timezone("browser")
        .time("now-3h", "now")
        .refresh("15s")
        .link(_to_the_others())
    )


def number(
    title: str, what: str, expression: str, *, nothing: str, unit: str = "short", bad: float | None = None
) -> Stat:
    """A quarter of a line: one number, red from `bad` on; `nothing` is said without data."""
    steps = [Threshold(value=None, color="green" if bad is not None else "blue")]
    steps += [Threshold(value=bad, color="red")] if bad is not None else []
    return (
        Stat()
        .title(title)
        .description(what)
        .datasource(SOURCE)
        .with_target(_target(Query(expression), "A").instant())
        .unit(unit)
        .no_value(nothing)
        .mappings([_said_without_data(nothing)])
        .thresholds(ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        .color_scheme(FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .color_mode(BigValueColorMode.BACKGROUND)
        .graph_mode(BigValueGraphMode.NONE)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .span(6)
        .height(5)
    )


def lines(title: str, what: str, queries: Sequence[Query], *, unit: str = "short", stacked: bool = False) -> Timeseries:
    """Half a line: what it was over time, never below 0."""
    return (
        Timeseries()
        .title(title)
        .description(what)
        .datasource(SOURCE)
        .targets([_target(query, chr(ord("A") + number)).range() for number, query in enumerate(queries)])
        .unit(unit)
        .min(0)
        .line_width(1)
        .fill_opacity(30 if stacked else 10)
        .stacking(StackingConfig().mode(StackingMode.NORMAL if stacked else StackingMode.NONE))
        .legend(
            VizLegendOptions()
            .display_mode(LegendDisplayMode.TABLE)
            .placement(LegendPlacement.RIGHT)
            .show_legend(True)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
        .span(12)
        .height(8)
    )


def rate(metric: str, job: str, *by: str, where: str = "") -> str:
    """What is counted a second, in all of a job or by labels."""
    matchers = ",".join(filter(None, (f'job="{job}"', where)))
    return f"sum{_by(by)} (rate({metric}{{{matchers}}}[$__rate_interval]))"


def now(metric: str, job: str, *by: str, where: str = "", how: str = "sum") -> str:
    """What it is, in all of a job or by labels."""
    matchers = ",".join(filter(None, (f'job="{job}"', where)))
    return f"{how}{_by(by)} ({metric}{{{matchers}}})"


def counted(metric: str, job: str, where: str = "") -> str:
    """How many there were in the time that is looked at."""
    matchers = ",".join(filter(None, (f'job="{job}"', where)))
    return f"round(sum(increase({metric}{{{matchers}}}[$__range])))"


def quantile(share: float, metric: str, job: str, over: str = "$__rate_interval") -> str:
    """The time within which this share was done; no data, and not NaN, while there was nothing to do."""
    return f'histogram_quantile({share}, sum by (le) (rate({metric}_bucket{{job="{job}"}}[{over}]))) >= 0'


def quantiles(metric: str, job: str, of: str = "") -> list[Query]:
    """Half of them, and all but one in a hundred."""
    return [
        Query(quantile(share, metric, job), f"{of} {name}".strip()) for share, name in ((0.5, "p50"), (0.99, "p99"))
    ]


def _said_without_data(words: str) -> SpecialValueMap:
    """In a colour of its own: what isn't known is not well."""
    result = ValueMappingResult(text=words, color="orange")
    return SpecialValueMap(options=DashboardSpecialValueMapOptions(match=SpecialValueMatch.NULL, result=result))


def _by(labels: Sequence[str]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""


def _target(query: Query, reference: str) -> Dataquery:
    return Dataquery().expr(query.expression).legend_format(query.called).ref_id(reference).datasource(SOURCE)


def _to_the_others() -> DashboardLink:
    return (
        DashboardLink("Thwart")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(False)
        .keep_time(True)
        .icon("dashboard")
    )
