//! Every rpc as it is, with this client's deadlines, retries and errors.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

use crate::error::{Error, Result};
use crate::v1::recording_service_client::RecordingServiceClient;
use crate::v1::results_service_client::ResultsServiceClient;
use crate::v1::{
    DeleteArmRequest, DeleteArmResponse, DeleteExperimentRequest, DeleteExperimentResponse,
    EvalRequest, EvalResponse, GetArmRequest, GetArmResponse, GetExperimentRequest,
    GetExperimentResponse, GetServerRequest, GetServerResponse, ListArmsRequest, ListArmsResponse,
    ListEvalsRequest, ListEvalsResponse, ListExperimentsRequest, ListExperimentsResponse,
    ListMetricsRequest, ListMetricsResponse, RankRequest, RankResponse, RecordRequest,
    RecordResponse, ScoreRequest, ScoreResponse, ScoresRequest, ScoresResponse,
};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// What was recorded in a message of 4 MiB comes back with times and revisions.
const LARGEST_RESPONSE: usize = 16 << 20;

/// Every rpc, requests and responses as the protos have them.
///
/// A read ends after 10 seconds, a write after 30. Within that time a read is repeated while the
/// server is `Unavailable`, and any call that an overloaded server refuses.
#[derive(Clone, Debug)]
pub struct Calls {
    results: ResultsServiceClient<Channel>,
    recording: RecordingServiceClient<Channel>,
    address: Arc<str>,
    pub(crate) metadata: MetadataMap,
    pub(crate) read_timeout: Duration,
    pub(crate) write_timeout: Duration,
}

impl Calls {
    pub(crate) fn new(channel: Channel, address: &str) -> Self {
        Self {
            results: ResultsServiceClient::new(channel.clone())
                .max_decoding_message_size(LARGEST_RESPONSE),
            recording: RecordingServiceClient::new(channel)
                .max_decoding_message_size(LARGEST_RESPONSE),
            address: address.into(),
            metadata: MetadataMap::new(),
            read_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
        }
    }

    async fn read<Q, A, F, Answer>(&self, message: Q, call: F) -> Result<A>
    where
        Q: Clone,
        F: Fn(ResultsServiceClient<Channel>, Request<Q>) -> Answer,
        Answer: Future<Output = Result<Response<A>, Status>>,
    {
        let attempt = |request| call(self.results.clone(), request);
        self.repeated(false, message, attempt).await
    }

    async fn write<Q, A, F, Answer>(&self, message: Q, call: F) -> Result<A>
    where
        Q: Clone,
        F: Fn(RecordingServiceClient<Channel>, Request<Q>) -> Answer,
        Answer: Future<Output = Result<Response<A>, Status>>,
    {
        let attempt = |request| call(self.recording.clone(), request);
        self.repeated(true, message, attempt).await
    }

    /// Makes attempts until one is answered, its failure is final, or the time of the call is over.
    async fn repeated<Q, A, F, Answer>(&self, is_write: bool, message: Q, attempt: F) -> Result<A>
    where
        Q: Clone,
        F: Fn(Request<Q>) -> Answer,
        Answer: Future<Output = Result<Response<A>, Status>>,
    {
        let deadline = Instant::now() + self.timeout(is_write);
        let mut failures = 0;
        loop {
            let request = self.request(deadline, message.clone());
            match within(deadline, attempt(request)).await {
                Err(error) if error.is_retried(is_write) => {
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

    fn request<Q>(&self, deadline: Instant, message: Q) -> Request<Q> {
        let mut request = Request::new(message);
        *request.metadata_mut() = self.metadata.clone();
        request.set_timeout(deadline.saturating_duration_since(Instant::now()));
        request
    }
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
    ($way:ident: $($name:ident($request:ident) -> $response:ident;)*) => {
        impl Calls {$(
            #[doc = concat!("Makes the call of that name with a [`", stringify!($request), "`].")]
            ///
            /// # Errors
            ///
            /// As the comment of the rpc in the protos says.
            pub async fn $name(&self, request: $request) -> Result<$response> {
                self.$way(request, |mut stub, request| async move { stub.$name(request).await })
                    .await
            }
        )*}
    };
}

rpcs! {
    read:
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
    get_server(GetServerRequest) -> GetServerResponse;
}

rpcs! {
    write:
    record(RecordRequest) -> RecordResponse;
    delete_arm(DeleteArmRequest) -> DeleteArmResponse;
    delete_experiment(DeleteExperimentRequest) -> DeleteExperimentResponse;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;
    use tonic::metadata::MetadataMap;
    use tonic::transport::Endpoint;

    use crate::client::Client;

    /// Each call sends the client's metadata, and how long it may take.
    #[tokio::test]
    async fn metadata_is_sent() {
        let channel = Endpoint::from_static("http://localhost:1").connect_lazy();
        let mut metadata = MetadataMap::new();
        metadata.insert("authorization", "Bearer x".parse().unwrap());
        let client = Client::from_channel(channel, "localhost:1").with_metadata(metadata);
        let deadline = Instant::now() + Duration::from_secs(9);
        let request = client.calls().request(deadline, ());
        assert_eq!(request.metadata().get("authorization").unwrap(), "Bearer x");
        assert!(request.metadata().contains_key("grpc-timeout"));
    }
}
