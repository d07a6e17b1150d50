"""The refusal of a checkpoint that asks for more than data."""
import pickle


class UnsafeCheckpointError(pickle.UnpicklingError):
    """A checkpoint asks for something that is neither data nor harmless."""
