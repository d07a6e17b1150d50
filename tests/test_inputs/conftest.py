"""What both tasks need."""
import pytest
from mmengine.logging import MMLogger


@pytest.fixture
def warnings(monkeypatch):
    """Return the texts that are logged as warnings."""
    texts = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'warning',
                        texts.append)
    return texts
