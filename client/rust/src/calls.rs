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
    GetExperimentResponse, ListArmsRequest, ListArmsResponse, ListEvalsRequest, ListEvalsResponse,
    ListExperimentsRequest, ListExperimentsResponse, RankRequest, RankResponse, RecordRequest,
    RecordResponse, ScoreRequest, ScoreResponse, ScoresRequest, ScoresResponse,
};

/// How long to wait after each failed attempt at a read but the last one.
const PAUSES_MS: [u64; 4] = [100, 200, 400, 800];
/// What was recorded in a message of 4 MiB comes back with times and revisions.
const LARGEST_RESPONSE: usize = 16 << 20;

/// Every rpc, requests and responses as the protos have them.
///
/// A read ends after 10 seconds and is tried up to five times within them while the server is
/// `Unavailable`. A write ends after 30 seconds and is sent once.
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
        let deadline = Instant::now() + self.read_timeout;
        let attempt = |request| call(self.results.clone(), request);
        let mut pauses = PAUSES_MS.into_iter();
        loop {
            match self.within(deadline, message.clone(), attempt).await {
                Err(error) if error.code() == Code::Unavailable => {
                    let pause = pauses.next().map(jittered);
                    match pause.filter(|pause| Instant::now() + *pause < deadline) {
                        Some(pause) => sleep(pause).await,
                        None => return Err(error.explained(&self.address, false)),
                    }
                }
                answer => return answer.map_err(|error| error.explained(&self.address, false)),
            }
        }
    }

    async fn write<Q, A, F, Answer>(&self, message: Q, call: F) -> Result<A>
    where
        F: FnOnce(RecordingServiceClient<Channel>, Request<Q>) -> Answer,
        Answer: Future<Output = Result<Response<A>, Status>>,
    {
        let deadline = Instant::now() + self.write_timeout;
        let attempt = |request| call(self.recording.clone(), request);
        let answer = self.within(deadline, message, attempt).await;
        answer.map_err(|error| error.explained(&self.address, true))
    }

    /// Makes one attempt that ends at the deadline, here and at the server.
    async fn within<Q, A, Answer>(
        &self,
        deadline: Instant,
        message: Q,
        call: impl FnOnce(Request<Q>) -> Answer,
    ) -> Result<A>
    where
        Answer: Future<Output = Result<Response<A>, Status>>,
    {
        match timeout_at(deadline, call(self.request(deadline, message))).await {
            Ok(answer) => Ok(answer?.into_inner()),
            Err(_) => Err(Error::new(Code::DeadlineExceeded, "")),
        }
    }

    fn request<Q>(&self, deadline: Instant, message: Q) -> Request<Q> {
        let mut request = Request::new(message);
        *request.metadata_mut() = self.metadata.clone();
        request.set_timeout(deadline.saturating_duration_since(Instant::now()));
        request
    }
}

/// A pause that differs by up to a fifth, so that clients do not come back all at once.
fn jittered(milliseconds: u64) -> Duration {
    let random = RandomState::new().hash_one(milliseconds) % 401;
    Duration::from_micros(milliseconds * (800 + random))
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
