//! What can go wrong.

use std::collections::BTreeMap;
use std::{error, fmt};

use prost::Message;
use tonic::{Code, Status, TimeoutExpired};
use tonic_types::pb::{ErrorInfo, Status as Details};

use crate::v1::{ErrorReason, RefusalKind, Refusals};

/// What a call answers, or why it failed.
pub type Result<T, E = Error> = std::result::Result<T, E>;

const DOMAIN: &str = "podium";
const PREFIX: &str = "ERROR_REASON_";
const OUTCOME_UNKNOWN: &str = ": whether it was stored is unknown, and it is safe to send it again";

/// A call to Podium failed. A write that failed changed nothing, unless no answer came: after
/// `Unavailable` without a reason or `DeadlineExceeded` the outcome is unknown, and sending the
/// same call again is safe.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    code: Code,
    message: String,
    reason: String,
    metadata: BTreeMap<String, String>,
    refusals: Vec<RefusedEvent>,
}

/// One refused event of a Record call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedEvent {
    /// The index of the event in the call, from 0.
    pub index: usize,
    /// Why it was refused; `Unspecified` for a reason that this version does not know.
    pub reason: ErrorReason,
    /// Whether it will never be accepted as it is; else what it needs may still come.
    pub permanent: bool,
    /// What was wrong and what would be right, said of the first event refused for the reason.
    pub message: String,
}

impl Error {
    /// The canonical status code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// The name of the code as the protocol writes it, such as `NOT_FOUND`.
    #[must_use]
    pub fn code_name(&self) -> &'static str {
        name_of(self.code)
    }

    /// What was wrong and what would be right.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Why exactly, such as `STALE_ATTEMPT`: the name of an [`ErrorReason`] without its prefix.
    /// Empty where nobody said.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Whether the call failed for this reason.
    #[must_use]
    pub fn is(&self, reason: ErrorReason) -> bool {
        !self.reason.is_empty() && reason.as_str_name().strip_prefix(PREFIX) == Some(&self.reason)
    }

    /// The particulars of the reason, such as `arm`: the reasons' comments name the keys.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Every refused event of a Record call, in the order of their reasons; empty for other calls.
    #[must_use]
    pub fn refusals(&self) -> &[RefusedEvent] {
        &self.refusals
    }

    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            reason: String::new(),
            metadata: BTreeMap::new(),
            refusals: Vec::new(),
        }
    }

    /// The error of a field that is wrong, found before anything was sent.
    pub(crate) fn name_invalid(field: &str, message: &str) -> Self {
        Self {
            reason: "NAME_INVALID".to_owned(),
            metadata: BTreeMap::from([("field".to_owned(), field.to_owned())]),
            ..Self::new(Code::InvalidArgument, message)
        }
    }

    /// Says of a write without an answer that it may have been stored.
    pub(crate) fn of_write(mut self) -> Self {
        let unanswered = matches!(self.code, Code::Unavailable | Code::DeadlineExceeded);
        if unanswered && self.reason.is_empty() {
            self.message.push_str(OUTCOME_UNKNOWN);
        }
        self
    }

    fn read_details(&mut self, bytes: &[u8]) {
        for detail in Details::decode(bytes).unwrap_or_default().details {
            if let Some(info) = unpacked::<ErrorInfo>(&detail, "google.rpc.ErrorInfo") {
                if info.domain == DOMAIN {
                    self.reason = info.reason;
                    self.metadata = info.metadata.into_iter().collect();
                }
            } else if let Some(refusals) = unpacked(&detail, "podium.v1.Refusals") {
                self.refusals = refused_events(refusals);
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code_name())?;
        if !self.reason.is_empty() {
            write!(f, " ({})", self.reason)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl error::Error for Error {}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let mut error = Self::new(status.code(), status.message());
        if let Some(source) = error::Error::source(&status) {
            error.code = code_of_lost_call(source, status.code());
        }
        error.read_details(status.details());
        error
    }
}

/// The code of a call that the server did not answer: tonic calls these `Unknown`, `Internal` or
/// `Cancelled`, as the case may be.
fn code_of_lost_call(source: &(dyn error::Error + 'static), code: Code) -> Code {
    let mut next = Some(source);
    while let Some(error) = next {
        if error.is::<TimeoutExpired>() {
            return Code::DeadlineExceeded;
        }
        next = error.source();
    }
    match code {
        Code::Unknown | Code::Internal | Code::Cancelled => Code::Unavailable,
        other => other,
    }
}

fn unpacked<M: Message + Default>(detail: &prost_types::Any, name: &str) -> Option<M> {
    let matches = detail.type_url.rsplit('/').next() == Some(name);
    matches.then(|| M::decode(detail.value.as_slice()).unwrap_or_default())
}

fn refused_events(refusals: Refusals) -> Vec<RefusedEvent> {
    let mut events = Vec::new();
    for refusal in refusals.refusals {
        let reason = refusal.reason();
        let permanent = refusal.kind() == RefusalKind::Permanent;
        events.extend(refusal.event_indexes.iter().map(|&index| RefusedEvent {
            index: usize::try_from(index).unwrap_or_default(),
            reason,
            permanent,
            message: refusal.message.clone(),
        }));
    }
    events
}

fn name_of(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
