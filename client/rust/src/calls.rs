//! Every rpc as it is, with this client's deadlines, retries and errors.

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
/// What was recorded in a message of 4 MiB comes back with times and revisions.
const LARGEST_RESPONSE: usize = 16 << 20;

/// A channel of any type.
type Channel = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, ChannelError>;

/// Why a channel failed. A type of its own, since the compiler cannot show that calls with a
/// `StdError` are `Send`.
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

/// Every rpc, requests and responses as the protos have them.
///
/// A read ends after 10 seconds, a write after 30. Within that time a call is repeated while the
/// server is `Unavailable`, if it is a read or has a position. So is any call that a server refuses
/// since it has too much to do.
#[derive(Clone, Debug)]
pub struct Calls {
    results: ResultsServiceClient<Channel>,
    recording: RecordingServiceClient<Channel>,
    access: AccessServiceClient<Channel>,
    address: Arc<str>,
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
            metadata: CallMetadata::default(),
            read_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
        }
    }

    /// Makes attempts until one is answered, its failure is final, or the time of the call is over.
    async fn call<T, Q, A, F, Answer>(&self, stub: &T, kind: Kind, message: Q, call: F) -> Result<A>
    where
        T: Clone,
        Q: Clone,
        F: Fn(T, Request<Q>) -> Answer,
        Answer: Future<Output = Result<Response<A>, Status>>,
    {
        let is_write = kind != Kind::Read;
        let deadline = Instant::now() + self.timeout(is_write);
        let mut failures = 0;
        loop {
            let request = self.request(deadline, message.clone())?;
            match within(deadline, call(stub.clone(), request)).await {
                Err(error) if error.is_retried(kind != Kind::Write) => {
                    let pause = pause_after(failures, &error);
                    if !paused_before(deadline, pause).await {
                        return Err(error.explained(&self.address, is_write));
                    }
                }
                answer => return answer.map_err(|error| error.explained(&self.address, is_write)),
            }
            failures += 1;
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

    /// Opens a watch, once.
    pub(crate) async fn watch(&self, request: WatchRequest) -> Result<Streaming<WatchResponse>> {
        let mut request = Request::new(request);
        *request.metadata_mut() = self.metadata.of_call(&self.address)?;
        let response = self.results.clone().watch(request).await?;
        Ok(response.into_inner())
    }

    /// Returns an error of a read with what the server itself did not say.
    pub(crate) fn explained(&self, error: Error) -> Error {
        error.explained(&self.address, false)
    }

    /// Records events. With a position, the call is repeated while no server answers.
    ///
    /// # Errors
    ///
    /// As the comment of the rpc in the protos says.
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

/// Whether a call changes something, and whether it is repeated if its answer was lost.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    /// It is not repeated: meanwhile, others may have recorded newer values.
    Write,
    /// It is repeated, since the server applies each event of a stream once.
    PositionedWrite,
}

/// Makes one attempt that ends at the deadline here, as the server was asked to do as well.
async fn within<A>(
    deadline: Instant,
    answer: impl Future<Output = Result<Response<A>, Status>>,
) -> Result<A> {
    match timeout_at(deadline, answer).await {
        Ok(answer) => Ok(answer?.into_inner()),
        Err(_) => Err(Error::new(Code::DeadlineExceeded, "")),
    }
}

/// How long to wait after a failed attempt, counted from 0: as long as the server asks for, else
/// twice as long each time, within a fifth, so that clients do not come back all at once.
fn pause_after(failures: u32, error: &Error) -> Duration {
    error.retry_delay().unwrap_or_else(|| {
        let longest = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures));
        let percent = RandomState::new().hash_one(failures) % 41;
        longest.min(LONGEST_PAUSE) * (80 + u32::try_from(percent).unwrap_or_default()) / 100
    })
}

/// Waits; false if the deadline has passed then, and at once if it will have.
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
            /// As the comment of the rpc in the protos says.
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
