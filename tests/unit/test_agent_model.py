"""Journal and executor on a host that keeps books, against the model: whatever comes, whatever crashes."""

from hypothesis import HealthCheck, settings

from tests.unit.an_agent_model import Machine

Machine.TestCase.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
TestAgent = Machine.TestCase
