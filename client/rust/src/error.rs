//! Errors.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use std::{error, fmt, iter};

use prost::Message;
use tonic::{Code, ConnectError, Status, TimeoutExpired};
use tonic_types::pb::{ErrorInfo, RetryInfo, Status as Details};

use crate::v1::{ErrorReason, RefusalKind, Refusals};

/// The result of a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

const DOMAIN: &str = "podium";
const PREFIX: &str = "ERROR_REASON_";
const OUTCOME_UNKNOWN: &str = ": whether it was stored is unknown, and it is safe to send it again";

/// The error of a call to Podium. A failed write has changed nothing, unless no answer came: the
/// message then says that the outcome is unknown. Sending the same call again is safe.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    code: Code,
    message: String,
    reason: String,
    metadata: BTreeMap<String, String>,
    refusals: Vec<RefusedEvent>,
    source: Source,
}

/// The error of tonic, if the call was made. It has no effect on whether two errors are equal.
#[derive(Clone, Debug, Default)]
struct Source(Option<Arc<Status>>);

impl PartialEq for Source {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// A rejected event of a Record call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedEvent {
    /// The index of the event in the call, from 0.
    pub index: usize,
    /// The reason, such as `STALE_ATTEMPT`: the name of an [`ErrorReason`] without its prefix.
    pub reason: String,
    /// Whether the event will never be accepted. Otherwise it waits for something that does not
    /// exist yet.
    pub permanent: bool,
    /// The error text of the first event that was rejected for this reason.
    pub message: String,
}

impl Error {
    /// Returns the canonical status code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// Returns the name of the code as in the protocol, such as `NOT_FOUND`.
    #[must_use]
    pub fn code_name(&self) -> &'static str {
        name_of(self.code)
    }

    /// Returns the error text: what was wrong, and what would be right.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the reason, such as `STALE_ATTEMPT`: the name of an [`ErrorReason`] without its
    /// prefix. Empty if the error has no reason.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Returns whether the call failed for this reason.
    #[must_use]
    pub fn is(&self, reason: ErrorReason) -> bool {
        !self.reason.is_empty() && reason.as_str_name().strip_prefix(PREFIX) == Some(&self.reason)
    }

    /// Returns details of the reason, such as `arm`. The comment of each reason lists its keys.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Returns every rejected event of a Record call, in order. Empty for other calls.
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
            source: Source::default(),
        }
    }

    /// Returns the error of an invalid field that was found before the call.
    pub(crate) fn name_invalid(field: &str, message: &str) -> Self {
        Self {
            reason: "NAME_INVALID".to_owned(),
            metadata: BTreeMap::from([("field".to_owned(), field.to_owned())]),
            ..Self::new(Code::InvalidArgument, message)
        }
    }

    /// Sets a text for an error that gRPC raised, rather than the server.
    pub(crate) fn explained(mut self, address: &str, timeout: Duration, is_write: bool) -> Self {
        if self.reason.is_empty() {
            self.message = self.explanation(address, timeout);
            if is_write && self.is_unanswered() && !self.never_left() {
                self.message.push_str(OUTCOME_UNKNOWN);
            }
        }
        self
    }

    /// Returns whether the call is retried: if the server rejected it before any work, or if no
    /// server answers and repeating the call is safe.
    pub(crate) fn is_retried(&self, is_repeatable: bool) -> bool {
        match self.code {
            Code::Unavailable => is_repeatable || self.is(ErrorReason::ShuttingDown),
            Code::ResourceExhausted => {
                self.is(ErrorReason::Overloaded) || self.is(ErrorReason::QuotaExceeded)
            }
            _ => false,
        }
    }

    /// Returns whether the server cannot be reached or stops, and has not run the call.
    pub(crate) fn is_of_server(&self) -> bool {
        self.never_left() || self.is(ErrorReason::ShuttingDown)
    }

    /// Returns the delay before a retry that the server asks for.
    pub(crate) fn retry_delay(&self) -> Option<Duration> {
        let details = Details::decode(self.source.0.as_deref()?.details()).ok()?;
        let mut details = details.details.iter();
        let info = details.find_map(|one| unpacked::<RetryInfo>(one, "google.rpc.RetryInfo"))?;
        info.retry_delay?.try_into().ok()
    }

    /// Returns whether the call was not sent, since there was no connection.
    fn never_left(&self) -> bool {
        is_caused_by::<ConnectError>(error::Error::source(self))
    }

    fn explanation(&self, address: &str, timeout: Duration) -> String {
        match self.code {
            Code::Unavailable if self.never_left() => format!(
                "no Podium server answers at {address}: start one with `podium serve`, or give the \
                 right address ({})",
                self.cause()
            ),
            Code::Unavailable => format!(
                "the connection to {address} was lost during the call ({})",
                self.cause()
            ),
            Code::DeadlineExceeded => {
                let seconds = timeout.as_secs_f64();
                format!("{address} did not answer within {seconds} s")
            }
            Code::Unimplemented => {
                format!("{address} is not a Podium server, or an older one without this call")
            }
            _ => format!("{address}: {}", self.message),
        }
    }

    /// Returns the text of the first cause, or else of this error.
    fn cause(&self) -> String {
        let cause = self.source.0.as_deref().and_then(error::Error::source);
        cause.map_or_else(|| self.message.clone(), cause_of)
    }

    fn is_unanswered(&self) -> bool {
        matches!(
            self.code,
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled
        )
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

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        let status = self.source.0.as_deref();
        status.map(|status| status as &(dyn error::Error + 'static))
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let mut error = Self::new(status.code(), status.message());
        error.read_details(status.details());
        error.code = code_of(&status);
        error.source = Source(Some(Arc::new(status)));
        error
    }
}

/// Returns the code of a failed call. If no server answered, tonic has several codes: `Unknown`,
/// `Internal` or `Cancelled`. All of these become `Unavailable`. This client cancels a call by
/// dropping its future, so `Cancelled` comes from a server that stops.
fn code_of(status: &Status) -> Code {
    let is_lost = error::Error::source(status).is_some();
    if is_caused_by::<TimeoutExpired>(error::Error::source(status)) {
        return Code::DeadlineExceeded;
    }
    match status.code() {
        Code::Unknown | Code::Internal if is_lost => Code::Unavailable,
        Code::Cancelled => Code::Unavailable,
        other => other,
    }
}

/// Returns the text of the first cause of an error. The errors above it add nothing.
pub(crate) fn cause_of(error: &(dyn error::Error + 'static)) -> String {
    let last = iter::successors(Some(error), |error| error.source()).last();
    last.unwrap_or(error).to_string()
}

/// Returns whether an error or one of its causes is of a type.
fn is_caused_by<E: error::Error + 'static>(error: Option<&(dyn error::Error + 'static)>) -> bool {
    iter::successors(error, |error| error.source()).any(<dyn error::Error>::is::<E>)
}

fn unpacked<M: Message + Default>(detail: &prost_types::Any, name: &str) -> Option<M> {
    let matches = detail.type_url.rsplit('/').next() == Some(name);
    matches.then(|| M::decode(detail.value.as_slice()).unwrap_or_default())
}

fn refused_events(refusals: Refusals) -> Vec<RefusedEvent> {
    let mut events = Vec::new();
    for refusal in refusals.refusals {
        // An unknown kind counts as permanent: nothing says that waiting helps.
        let permanent = refusal.kind() != RefusalKind::Wait;
        events.extend(refusal.event_indexes.iter().map(|&index| RefusedEvent {
            index: usize::try_from(index).unwrap_or_default(),
            reason: refusal.reason.clone(),
            permanent,
            message: refusal.message.clone(),
        }));
    }
    events.sort_by_key(|event| event.index);
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prost::Message;
    use tonic::{Code, Status};
    use tonic_types::pb::Status as Details;

    use super::Error;
    use crate::v1::{Refusal, RefusalKind, Refusals};

    /// A refusal of an unknown kind is permanent, and events are in order.
    #[test]
    fn refusals_are_read() {
        let refusal = |kind, index| Refusal {
            kind,
            event_indexes: vec![index],
            ..Default::default()
        };
        let refusals = vec![refusal(99, 2), refusal(RefusalKind::Wait.into(), 1)];
        let detail = prost_types::Any {
            type_url: "type.googleapis.com/podium.v1.Refusals".to_owned(),
            value: Refusals { refusals }.encode_to_vec(),
        };
        let details = Details {
            details: vec![detail],
            ..Default::default()
        };
        let details = details.encode_to_vec().into();
        let error = Error::from(Status::with_details(Code::FailedPrecondition, "", details));
        let told = error.refusals().iter().map(|e| (e.index, e.permanent));
        assert_eq!(told.collect::<Vec<_>>(), [(1, false), (2, true)]);
    }

    /// A server that stops cancels new calls: the caller gets UNAVAILABLE.
    #[test]
    fn what_a_server_cancels_is_unavailable() {
        let error =
            Error::from(Status::cancelled("stopping")).explained("h:1", Duration::ZERO, true);
        assert_eq!(error.code(), Code::Unavailable);
        assert!(
            error.message().ends_with("safe to send it again"),
            "{error}"
        );
        assert!(error.message().contains("(stopping)"), "{error}");
    }
}
