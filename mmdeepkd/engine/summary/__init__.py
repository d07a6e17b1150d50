"""What a run is about to do, as resolved from its config, in one text."""
from .batch import batch_rows, batch_warning
from .layout import lay_out
from .models import model_rows, package_rows, student_of
from .optimization import optimization_rows
from .streams import stream_rows

__all__ = [
    'batch_rows', 'batch_warning', 'lay_out', 'model_rows',
    'optimization_rows', 'package_rows', 'stream_rows', 'student_of'
]
