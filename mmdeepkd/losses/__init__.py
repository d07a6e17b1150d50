"""Registered loss modules: they hold the weights and reduce once."""
from .crld_loss import CRLDLoss
from .deepkd_loss import DeepKDLoss
from .diffkd_logits_loss import DiffKDLogitsLoss
from .diffkd_loss import DiffKDLoss
from .dist_loss import DISTLoss
from .dkd_loss import DKDLoss
from .dkdmod_loss import DKDModLoss
from .foreground_loss import ForegroundLoss
from .gdkd_loss import GDKD3Loss, GDKDLoss
from .gdkd_variants import GDKDAutoWLoss, LSGDKDLoss
from .gdkds_loss import GDKDSLoss
from .kd_loss import KDLoss
from .mlkd_loss import MLKDLoss

__all__ = [
    'CRLDLoss', 'DISTLoss', 'DKDLoss', 'DKDModLoss', 'DeepKDLoss',
    'DiffKDLogitsLoss', 'DiffKDLoss', 'ForegroundLoss', 'GDKD3Loss',
    'GDKDAutoWLoss', 'GDKDLoss', 'GDKDSLoss', 'KDLoss', 'LSGDKDLoss',
    'MLKDLoss'
]
