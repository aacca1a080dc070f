from tests.record.conftest import any_desk, desk, postgres_server, postgres_url
from tests.subplans.scene import stage

__all__ = ["any_desk", "desk", "postgres_server", "postgres_url", "stage"]
