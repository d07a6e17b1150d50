"""What is logged."""
import pytest
from mmengine.logging import MMLogger


@pytest.fixture
def logged(monkeypatch):
    """The texts at the level of information."""
    texts = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'info', texts.append)
    return texts
