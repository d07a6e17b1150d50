"""What tools/doctor.py is made of; standard library and Python 3.6 only."""
import sys
from pathlib import Path

# The set-up scripts read the requirement files; they are no package.
sys.path.append(str(Path(__file__).resolve().parents[1] / 'setup'))
