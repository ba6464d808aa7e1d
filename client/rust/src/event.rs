//! Events.

use std::time::SystemTime;

use crate::v1::{
    ArmFinished, ArmRecorded, ArmStarted, EvalRecorded, Event, ExperimentConcluded,
    ExperimentDeclared, MetricsRecorded, Skipped, event::Kind,
};

impl Event {
    /// Returns an event with the current time of this machine's clock:
    /// `Event::now(EvalRecorded { arm, eval_result, ..Default::default() })`.
    pub fn now(kind: impl Into<Kind>) -> Self {
        Self {
            event_time: Some(SystemTime::now().into()),
            kind: Some(kind.into()),
        }
    }
}

macro_rules! kinds {
    ($($message:ident,)*) => {$(
        impl From<$message> for Kind {
            fn from(message: $message) -> Self {
                Self::$message(message)
            }
        }
    )*};
}

kinds! {
    ExperimentDeclared,
    ArmStarted,
    MetricsRecorded,
    EvalRecorded,
    ArmFinished,
    ArmRecorded,
    ExperimentConcluded,
    Skipped,
}
