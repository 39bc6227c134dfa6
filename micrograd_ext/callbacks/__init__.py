"""What happens beside training: history, progress, stopping, checkpoints. Keras's names."""

from .base import Callback, CallbackList, LambdaCallback, Logs
from .checkpoints import BackupAndRestore, ModelCheckpoint
from .monitors import EarlyStopping, LearningRateScheduler, ReduceLROnPlateau, TerminateOnNaN
from .progress import CSVLogger, History, ProgbarLogger

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "Logs",
    "ModelCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]
