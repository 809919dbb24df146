"""Boards as Grafana reads them, so that all of them look and behave alike. The only module that knows Grafana's SDK."""

from json import dumps

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
from grafana_foundation_sdk.cog.encoder import JSONEncoder
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

from thwart_dashboards.panels import Board, Lines, Number

SOURCE = DataSourceRef(type_val="prometheus", uid="thwart-prometheus")
TAG = "thwart"


def text(board: Board) -> str:
    """The file that Grafana is provisioned with."""
    return dumps(_dashboard(board).build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _dashboard(board: Board) -> Dashboard:
    made = _empty(board)
    for each in board.numbers:
        made.with_panel(_number(each))
    for title, some in board.rows.items():
        made.with_row(Row(title))
        for lines in some:
            made.with_panel(_lines(lines))
    for number, panel in enumerate(made.build().panels or (), start=1):
        panel.id_val = number
    return made


def _empty(board: Board) -> Dashboard:
    """Of the last three hours, and read again every quarter of a minute."""
    return (
        Dashboard(board.name)
        .uid(f"thwart-{board.name.lower()}")
        .description(board.what)
        .tags([TAG])
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .timezone("browser")
        .time("now-3h", "now")
        .refresh("15s")
        .link(_to_the_others())
    )


def _number(number: Number) -> Stat:
    """A quarter of a line."""
    steps = [Threshold(value=None, color="green" if number.bad else "blue")]
    steps += [Threshold(value=1, color="red")] if number.bad else []
    return (
        Stat()
        .title(number.title)
        .description(number.what)
        .datasource(SOURCE)
        .with_target(_target("A", number.query).instant())
        .unit(number.unit)
        .no_value(number.nothing)
        .mappings([_said_without_data(number.nothing)])
        .thresholds(ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        .color_scheme(FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .color_mode(BigValueColorMode.BACKGROUND)
        .graph_mode(BigValueGraphMode.NONE)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .span(6)
        .height(5)
    )


def _lines(lines: Lines) -> Timeseries:
    """Half a line, never below 0."""
    queries = enumerate(lines.queries.items(), start=ord("A"))
    return (
        Timeseries()
        .title(lines.title)
        .description(lines.what)
        .datasource(SOURCE)
        .targets([_target(chr(letter), query, called).range() for letter, (called, query) in queries])
        .unit(lines.unit)
        .min(0)
        .line_width(1)
        .fill_opacity(30 if lines.stacked else 10)
        .stacking(StackingConfig().mode(StackingMode.NORMAL if lines.stacked else StackingMode.NONE))
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


def _said_without_data(words: str) -> SpecialValueMap:
    """In a colour of its own: what isn't known is not well."""
    result = ValueMappingResult(text=words, color="orange")
    return SpecialValueMap(options=DashboardSpecialValueMapOptions(match=SpecialValueMatch.NULL, result=result))


def _target(reference: str, query: str, called: str = "") -> Dataquery:
    return Dataquery().expr(query).legend_format(called).ref_id(reference).datasource(SOURCE)


def _to_the_others() -> DashboardLink:
    return (
        DashboardLink("Thwart")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(False)
        .keep_time(True)
        .icon("dashboard")
    )
