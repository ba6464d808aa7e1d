//! The client.

use std::env;
use std::time::Duration;

use tonic::body::Body;
use tonic::codegen::{Body as HttpBody, Bytes, Service, StdError, http};
use tonic::metadata::MetadataMap;

use crate::builder::Builder;
use crate::calls::Calls;
use crate::error::Result;
use crate::handles::{ArmHandle, ExperimentHandle};
use crate::listing::Listing;
use crate::v1::{
    Experiment, GetServerRequest, ListExperimentsRequest, Server, Token, WhoAmIRequest,
};

const DEFAULT_ADDRESS: &str = "localhost:50051";

/// A client of one server.
///
/// Clones are cheap and share the connection, which ends with the last clone. Any number of tasks
/// and threads may use a client. Dropping the future of a call cancels it.
#[derive(Clone, Debug)]
pub struct Client {
    calls: Calls,
}

impl Client {
    pub(crate) fn new(calls: Calls) -> Self {
        Self { calls }
    }

    /// Returns a client of the server at `HOST:PORT` or `unix:PATH`. The first call connects.
    ///
    /// `HOST:PORT,HOST:PORT` are several servers with the same results. They get calls in turns. If
    /// one stops or cannot be reached, the others get its calls.
    ///
    /// The environment variables `PODIUM_TLS_CA`, `PODIUM_TLS_CERT` and `PODIUM_TLS_KEY` name the
    /// files of an encrypted connection; `PODIUM_TOKEN` or `PODIUM_TOKEN_FILE` have the token.
    /// [`builder`](Self::builder) takes other files and tokens.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`: the address is not in one of these forms, or a file of TLS cannot be
    /// used.
    /// `FailedPrecondition`: there is no Tokio runtime.
    pub fn connect(address: &str) -> Result<Self> {
        Self::builder(address).connect()
    }

    /// Returns a client of the server that the environment variable `PODIUM_ADDRESS` names, or of
    /// `localhost:50051` if it is not set.
    ///
    /// # Errors
    ///
    /// Those of [`connect`](Self::connect).
    pub fn from_env() -> Result<Self> {
        let address = env::var("PODIUM_ADDRESS").unwrap_or_default();
        Self::connect(match address.as_str() {
            "" => DEFAULT_ADDRESS,
            given => given,
        })
    }

    /// Returns a builder of a client with TLS files or a token.
    pub fn builder(address: &str) -> Builder {
        Builder::new(address)
    }

    /// Returns a client over a channel of your own: a [`Channel`](tonic::transport::Channel), one
    /// with an interceptor or a layer of tower, or any other service that makes gRPC calls. Errors
    /// name the server by the given name.
    pub fn from_service<S, B>(service: S, name: &str) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<B>>,
        S: Clone + Send + Sync + 'static,
        S::Error: Into<StdError>,
        S::Future: Send + 'static,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<StdError>,
    {
        Self::new(Calls::new(service, name))
    }

    /// Returns this client with metadata for each call.
    #[must_use]
    pub fn with_metadata(mut self, metadata: MetadataMap) -> Self {
        self.calls.metadata.given = metadata;
        self
    }

    /// Returns this client with other deadlines. The defaults are 10 seconds for reads and 30 for
    /// writes. For one call: `client.clone().with_timeouts(soon, soon).arm("e", "a").score("acc")`.
    #[must_use]
    pub fn with_timeouts(mut self, reads: Duration, writes: Duration) -> Self {
        self.calls.read_timeout = reads;
        self.calls.write_timeout = writes;
        self
    }

    /// Returns the calls of every rpc.
    #[must_use]
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// Returns a handle of an experiment. Makes no call.
    pub fn experiment(&self, name: impl Into<String>) -> ExperimentHandle {
        ExperimentHandle::new(self.clone(), name.into())
    }

    /// Returns a handle of an arm. Makes no call.
    pub fn arm(&self, experiment: impl Into<String>, name: impl Into<String>) -> ArmHandle {
        self.experiment(experiment).arm(name)
    }

    /// Returns the version and the limits of the server, and the id of its store.
    ///
    /// # Errors
    ///
    /// The call failed.
    pub async fn server(&self) -> Result<Server> {
        let response = self.calls.get_server(GetServerRequest {}).await?;
        Ok(response.server.unwrap_or_default())
    }

    /// Returns the token of this client, or `None` if the server requires no tokens.
    ///
    /// # Errors
    ///
    /// The call failed.
    pub async fn whoami(&self) -> Result<Option<Token>> {
        Ok(self.calls.who_am_i(WhoAmIRequest {}).await?.token)
    }

    /// Lists the experiments that match the filters of a request, sorted by name.
    /// `Default::default()` lists all.
    #[must_use]
    pub fn experiments(&self, request: ListExperimentsRequest) -> Listing<Experiment> {
        let calls = self.calls.clone();
        Listing::new(request, move |mut request: ListExperimentsRequest| {
            let calls = calls.clone();
            async move {
                let page = calls.list_experiments(request.clone()).await?;
                request.page_token = page.next_page_token;
                let next = (!request.page_token.is_empty()).then_some(request);
                Ok((page.experiments, next))
            }
        })
    }
}
