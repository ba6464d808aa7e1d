//! Every rpc, with the deadlines, retries and errors of this client.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use std::{error, fmt};

use tokio::time::{Instant, sleep, timeout_at};
use tonic::body::Body;
use tonic::codegen::{Body as HttpBody, Bytes, Service, StdError, http};
use tonic::{Code, Request, Response, Status, Streaming};
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use crate::error::{Error, Result};
use crate::security::CallMetadata;
use crate::v1::access_service_client::AccessServiceClient;
use crate::v1::recording_service_client::RecordingServiceClient;
use crate::v1::results_service_client::ResultsServiceClient;
use crate::v1::{
    CreateTokenRequest, CreateTokenResponse, DeleteArmRequest, DeleteArmResponse,
    DeleteExperimentRequest, DeleteExperimentResponse, EvalRequest, EvalResponse, GetArmRequest,
    GetArmResponse, GetExperimentRequest, GetExperimentResponse, GetServerRequest,
    GetServerResponse, ListArmsRequest, ListArmsResponse, ListEvalsRequest, ListEvalsResponse,
    ListExperimentsRequest, ListExperimentsResponse, ListMetricsRequest, ListMetricsResponse,
    ListSeriesRequest, ListSeriesResponse, ListTokensRequest, ListTokensResponse, RankRequest,
    RankResponse, RecordRequest, RecordResponse, RevokeTokenRequest, RevokeTokenResponse,
    ScoreRequest, ScoreResponse, ScoresRequest, ScoresResponse, WatchRequest, WatchResponse,
    WhoAmIRequest, WhoAmIResponse,
};

pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A response is larger than the request that recorded it: it also has times and revisions.
const LARGEST_RESPONSE: usize = 16 << 20;

/// A channel of any type.
type Channel = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, ChannelError>;

/// The error of a channel. It is a separate type, because the compiler cannot show that calls with
/// a `StdError` are `Send`.
#[derive(Debug)]
struct ChannelError(StdError);

impl fmt::Display for ChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl error::Error for ChannelError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(self.0.as_ref())
    }
}

/// Every rpc, with the requests and responses of the protos.
///
/// The deadline of a read is 10 seconds, and that of a write 30. Until then, a read or a write with
/// a position is retried while the server is `Unavailable`. Any call is retried that the server
/// rejects because it is overloaded.
#[derive(Clone, Debug)]
pub struct Calls {
    results: ResultsServiceClient<Channel>,
    recording: RecordingServiceClient<Channel>,
    access: AccessServiceClient<Channel>,
    address: Arc<str>,
    /// The number of other servers, which get a call if one cannot.
    pub(crate) others: usize,
    pub(crate) metadata: CallMetadata,
    pub(crate) read_timeout: Duration,
    pub(crate) write_timeout: Duration,
}

impl Calls {
    pub(crate) fn new<S, B>(service: S, address: &str) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<B>>,
        S: Clone + Send + Sync + 'static,
        S::Error: Into<StdError>,
        S::Future: Send + 'static,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<StdError>,
    {
        let service = service.map_response(|response| response.map(Body::new));
        let channel = Channel::new(service.map_err(|error| ChannelError(error.into())));
        Self {
            results: ResultsServiceClient::new(channel.clone())
                .max_decoding_message_size(LARGEST_RESPONSE),
            access: AccessServiceClient::new(channel.clone()),
            recording: RecordingServiceClient::new(channel)
                .max_decoding_message_size(LARGEST_RESPONSE),
            address: address.into(),
            others: 0,
            metadata: CallMetadata::default(),
            read_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
        }
    }

    /// Makes attempts until one succeeds, fails for good, or the deadline of the call has passed.
    async fn call<T, Q, A, F, Answer>(&self, stub: &T, kind: Kind, message: Q, call: F) -> Result<A>
    where
        T: Clone,
        Q: Clone,
        F: Fn(T, Request<Q>) -> Answer,
        Answer: Future<Output = Result<Response<A>, Status>>,
    {
        let is_write = kind != Kind::Read;
        let timeout = self.timeout(is_write);
        let deadline = Instant::now() + timeout;
        let explained = |error: Error| error.explained(&self.address, timeout, is_write);
        let (mut failures, mut untried) = (0, self.others);
        loop {
            let request = self.request(deadline, message.clone())?;
            match within(deadline, call(stub.clone(), request)).await {
                // It is the turn of the next server. The call has not run.
                Err(error) if untried > 0 && error.is_of_server() => untried -= 1,
                Err(error) if error.is_retried(kind != Kind::Write) => {
                    if !paused_before(deadline, pause_after(failures, &error)).await {
                        return Err(explained(error));
                    }
                    (failures, untried) = (failures + 1, self.others);
                }
                answer => return answer.map_err(explained),
            }
        }
    }

    fn timeout(&self, is_write: bool) -> Duration {
        if is_write {
            self.write_timeout
        } else {
            self.read_timeout
        }
    }

    fn request<Q>(&self, deadline: Instant, message: Q) -> Result<Request<Q>> {
        let mut request = Request::new(message);
        *request.metadata_mut() = self.metadata.of_call(&self.address)?;
        request.set_timeout(deadline.saturating_duration_since(Instant::now()));
        Ok(request)
    }

    /// Opens a watch, without retries.
    pub(crate) async fn watch(&self, request: WatchRequest) -> Result<Streaming<WatchResponse>> {
        let mut request = Request::new(request);
        *request.metadata_mut() = self.metadata.of_call(&self.address)?;
        let response = self.results.clone().watch(request).await?;
        Ok(response.into_inner())
    }

    /// Returns an error of a read, with a text if gRPC raised it rather than the server.
    pub(crate) fn explained(&self, error: Error) -> Error {
        error.explained(&self.address, Duration::ZERO, false)
    }

    /// Records events. With a position, the call is retried while no server answers.
    ///
    /// # Errors
    ///
    /// Those that the comment of the rpc in the protos lists.
    pub async fn record(&self, request: RecordRequest) -> Result<RecordResponse> {
        let kind = match request.position {
            Some(_) => Kind::PositionedWrite,
            None => Kind::Write,
        };
        let call = |mut stub: RecordingServiceClient<Channel>, request| async move {
            stub.record(request).await
        };
        self.call(&self.recording, kind, request, call).await
    }
}

/// The kinds of calls: whether they change something, and whether they are retried.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    /// A write that is not retried, since others may have recorded newer values meanwhile.
    Write,
    /// A write that is retried, since the server applies each event of a stream once.
    PositionedWrite,
}

/// Makes one attempt, and ends it at the deadline even if the server does not.
async fn within<A>(
    deadline: Instant,
    answer: impl Future<Output = Result<Response<A>, Status>>,
) -> Result<A> {
    match timeout_at(deadline, answer).await {
        Ok(answer) => Ok(answer?.into_inner()),
        Err(_) => Err(Error::new(Code::DeadlineExceeded, "")),
    }
}

/// Returns the delay after a failed attempt, counted from 0. It is the delay that the server asks
/// for, or else doubles with each attempt, varied at random by up to 20 %.
fn pause_after(failures: u32, error: &Error) -> Duration {
    error.retry_delay().unwrap_or_else(|| {
        let longest = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures));
        let percent = RandomState::new().hash_one(failures) % 41;
        longest.min(LONGEST_PAUSE) * (80 + u32::try_from(percent).unwrap_or_default()) / 100
    })
}

/// Waits, and returns true. If the delay would end after the deadline, returns false at once.
async fn paused_before(deadline: Instant, pause: Duration) -> bool {
    let ends_in_time = deadline.saturating_duration_since(Instant::now()) > pause;
    if ends_in_time {
        sleep(pause).await;
    }
    ends_in_time && Instant::now() < deadline
}

macro_rules! rpcs {
    ($stub:ident $type:ident $kind:ident: $($name:ident($request:ident) -> $response:ident;)*) => {
        impl Calls {$(
            #[doc = concat!("Makes the call of that name with a [`", stringify!($request), "`].")]
            ///
            /// # Errors
            ///
            /// Those that the comment of the rpc in the protos lists.
            pub async fn $name(&self, request: $request) -> Result<$response> {
                let call = |mut stub: $type<Channel>, request| async move { stub.$name(request).await };
                self.call(&self.$stub, Kind::$kind, request, call).await
            }
        )*}
    };
}

rpcs! {
    results ResultsServiceClient Read:
    eval(EvalRequest) -> EvalResponse;
    score(ScoreRequest) -> ScoreResponse;
    get_arm(GetArmRequest) -> GetArmResponse;
    list_arms(ListArmsRequest) -> ListArmsResponse;
    list_evals(ListEvalsRequest) -> ListEvalsResponse;
    get_experiment(GetExperimentRequest) -> GetExperimentResponse;
    list_experiments(ListExperimentsRequest) -> ListExperimentsResponse;
    rank(RankRequest) -> RankResponse;
    scores(ScoresRequest) -> ScoresResponse;
    list_metrics(ListMetricsRequest) -> ListMetricsResponse;
    list_series(ListSeriesRequest) -> ListSeriesResponse;
    get_server(GetServerRequest) -> GetServerResponse;
}

rpcs! {
    recording RecordingServiceClient Write:
    delete_arm(DeleteArmRequest) -> DeleteArmResponse;
    delete_experiment(DeleteExperimentRequest) -> DeleteExperimentResponse;
}

rpcs! {
    access AccessServiceClient Read:
    who_am_i(WhoAmIRequest) -> WhoAmIResponse;
    list_tokens(ListTokensRequest) -> ListTokensResponse;
}

rpcs! {
    access AccessServiceClient Write:
    create_token(CreateTokenRequest) -> CreateTokenResponse;
    revoke_token(RevokeTokenRequest) -> RevokeTokenResponse;
}
