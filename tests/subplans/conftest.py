from tests.subplans.scene import stage

__all__ = ["stage"]
