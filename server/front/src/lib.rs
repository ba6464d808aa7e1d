//! The native front of Podium's server.
//!
//! It accepts connections, limits them, reads requests and sends responses, without Python's global
//! lock. It does not decode messages. Python takes calls in batches, and answers them.

mod call;
mod connection;
mod host;
mod meter;
mod queue;
mod request;
mod server;
mod status;
mod stream;
mod tls;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{BufMut, Bytes};
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use tokio::net::UnixListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, oneshot, watch};

use call::{CallState, Order, Written};
use queue::{Event, Queue};
use request::Refused;
use server::{Limits, Listener, STREAMS_IN_ALL, Shared};

/// Locks a mutex, even after a panic of its holder: no panic can leave its data half-changed.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call that a client has made.
#[pyclass(frozen)]
struct Call(Arc<CallState>);

#[pymethods]
impl Call {
    /// Returns the values of a header. Values that are not UTF-8 are read as Latin-1.
    fn values(&self, key: &str) -> Vec<String> {
        let values = self.0.headers.get_all(key);
        values.iter().map(|value| text_of(value.as_bytes())).collect()
    }

    /// Returns the URIs in the client's verified certificate.
    fn names(&self) -> Vec<String> {
        self.0.peer.names.clone()
    }

    /// Begins to read the request. A later event of `Server.take` contains it.
    fn read(&self) {
        self.0.order(Order::Read);
    }

    /// Sends the only response, and ends the call.
    fn answer(&self, response: &[u8]) {
        self.0.order(Order::Answer(framed(response)));
    }

    /// Sends a message of a stream. Returns 0 if it was accepted, 1 if the stream is full, and 2 if
    /// the stream is closed.
    fn write(&self, response: &[u8]) -> u8 {
        match self.0.write(framed(response)) {
            Written::Sent => 0,
            Written::Full => 1,
            Written::Closed => 2,
        }
    }

    /// Ends a stream without an error.
    fn finish(&self) {
        self.0.order(Order::Finish);
    }

    /// Ends the call with an error, after the messages that are not sent yet.
    ///
    /// With `drop`, does not send these messages. Raises `ValueError` if the metadata cannot be
    /// sent. The call then goes on.
    #[pyo3(signature = (code, text, metadata, *, drop=false))]
    fn fail(
        &self,
        code: u16,
        text: &str,
        metadata: Vec<(String, Vec<u8>)>,
        drop: bool,
    ) -> PyResult<()> {
        let fields = error_fields(code, text, &metadata)?;
        self.0.order(if drop { Order::Drop(fields) } else { Order::Fail(fields) });
        Ok(())
    }
}

/// A connection that waits until its TLS handshake may begin.
#[pyclass(frozen)]
struct Handshake(Mutex<Option<oneshot::Sender<()>>>);

#[pymethods]
impl Handshake {
    /// Begins the handshake with the newest certificate.
    fn proceed(&self) {
        if let Some(sender) = locked(&self.0).take() {
            let _ = sender.send(());
        }
    }
}

/// A server of gRPC that passes its calls to Python.
#[pyclass(frozen)]
struct Server {
    shared: Arc<Shared>,
    runtime: Mutex<Option<Runtime>>,
}

#[pymethods]
impl Server {
    /// Makes a server for methods with these paths.
    ///
    /// `overloaded` is the error of calls for which the queue has no room: its code, its text and
    /// its metadata.
    #[new]
    #[pyo3(signature = (paths, overloaded, **limits))]
    fn new(
        paths: Vec<String>,
        overloaded: (u16, String, Vec<(String, Vec<u8>)>),
        limits: Option<Limits>,
    ) -> PyResult<Self> {
        let limits = limits.ok_or_else(|| PyValueError::new_err("no limits are given"))?;
        let (code, text, metadata) = overloaded;
        let runtime = Builder::new_multi_thread()
            .worker_threads(limits.threads)
            .thread_name("front")
            .enable_all()
            .build()?;
        let shared = Shared {
            queue: Queue::new(limits.waiting)?,
            limits,
            paths: paths.into_iter().enumerate().map(|(at, path)| (path, at)).collect(),
            overloaded: error_fields(code, &text, &metadata)?,
            numbers: 1.into(),
            streams: Arc::new(Semaphore::new(STREAMS_IN_ALL)),
            tls: Mutex::new(None),
            stopping: watch::channel(false).0,
        };
        Ok(Self { shared: Arc::new(shared), runtime: Mutex::new(Some(runtime)) })
    }

    /// Returns the file descriptor that is readable while events wait.
    fn fileno(&self) -> i32 {
        self.shared.queue.descriptor()
    }

    /// Listens on a port of an IP address. Returns the port, which is chosen if `port` is 0.
    fn listen(&self, address: &str, port: u16) -> PyResult<u16> {
        let ip = address.parse().map_err(|_| PyValueError::new_err("not an IP address"))?;
        self.with_runtime(|runtime| {
            let _guard = runtime.enter();
            let listener = server::bind(SocketAddr::new(ip, port)).map_err(with_number)?;
            let port = listener.local_addr()?.port();
            runtime.spawn(server::accept(Listener::Tcp(listener), Arc::clone(&self.shared)));
            Ok(port)
        })
    }

    /// Listens on a Unix socket, and creates its file.
    fn listen_unix(&self, path: &str) -> PyResult<()> {
        self.with_runtime(|runtime| {
            let _guard = runtime.enter();
            let listener = UnixListener::bind(path).map_err(with_number)?;
            runtime.spawn(server::accept(Listener::Unix(listener), Arc::clone(&self.shared)));
            Ok(())
        })
    }

    /// Encrypts new connections to ports, with the contents of these PEM files.
    #[pyo3(signature = (chain, key, authorities=None))]
    fn encrypt(&self, chain: &[u8], key: &[u8], authorities: Option<&[u8]>) -> PyResult<()> {
        let config = tls::config(chain, key, authorities).map_err(PyValueError::new_err)?;
        *locked(&self.shared.tls) = Some(Arc::new(config));
        Ok(())
    }

    /// Removes and returns events as tuples: the number of the kind, the number of the call, and
    /// the content.
    ///
    /// At most `most` of them are new calls. The tuple of a handshake has only its kind and a
    /// `Handshake`.
    ///
    /// `spent` is the CPU time in nanoseconds that Python has needed for the events of the last
    /// call of this method.
    fn take<'py>(
        &self,
        py: Python<'py>,
        most: usize,
        spent: u64,
    ) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let events = self.shared.queue.take(most, spent);
        events.into_iter().map(|event| converted(py, event)).collect()
    }

    /// Returns the number of new calls that wait for Python.
    fn waiting(&self) -> usize {
        self.shared.queue.waiting()
    }

    /// Returns the number of calls for which the queue had no room.
    fn refused(&self) -> u64 {
        self.shared.queue.refused()
    }

    /// Accepts no connections and no calls from now on. Running calls go on.
    fn stop(&self) {
        self.shared.stopping.send_replace(true);
    }

    /// Ends all calls and connections at once.
    fn close(&self) {
        self.stop();
        if let Some(runtime) = locked(&self.runtime).take() {
            runtime.shutdown_background();
        }
    }
}

impl Server {
    fn with_runtime<T>(&self, act: impl FnOnce(&Runtime) -> PyResult<T>) -> PyResult<T> {
        match &*locked(&self.runtime) {
            Some(runtime) => act(runtime),
            None => Err(PyRuntimeError::new_err("the server is closed")),
        }
    }
}

fn error_fields(code: u16, text: &str, metadata: &[(String, Vec<u8>)]) -> PyResult<Refused> {
    status::fields_with(code, text, metadata)
        .ok_or_else(|| PyValueError::new_err("the metadata has an invalid key or value"))
}

/// Returns an event as a tuple.
fn converted(py: Python<'_>, event: Event) -> PyResult<Bound<'_, PyTuple>> {
    let bytes = |message: Option<Bytes>| message.map(|content| PyBytes::new(py, &content));
    match event {
        Event::New((call, message)) => {
            let (number, method, peer) = (call.number, call.method, call.peer.text.clone());
            (0, number, Call(call), method, peer, bytes(message)).into_pyobject(py)
        }
        Event::Message(number, message) => (1, number, bytes(message)).into_pyobject(py),
        Event::Writable(number) => (2, number, false).into_pyobject(py),
        Event::Done(number, is_sent) => (3, number, is_sent).into_pyobject(py),
        Event::Handshake(sender) => (4, Handshake(Mutex::new(Some(sender)))).into_pyobject(py),
    }
}

/// Returns Python's `OSError` with the error's number, which the conversion of pyo3 leaves out.
fn with_number(error: std::io::Error) -> PyErr {
    match error.raw_os_error() {
        Some(number) => PyOSError::new_err((number, error.to_string())),
        None => error.into(),
    }
}

fn framed(message: &[u8]) -> Bytes {
    let mut result = Vec::with_capacity(5 + message.len());
    result.put_u8(0);
    // Responses are far smaller than 4 GiB.
    result.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    result.extend_from_slice(message);
    result.into()
}

fn text_of(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => value.iter().copied().map(char::from).collect(),
    }
}

/// The native front of Podium's server.
#[pymodule]
fn podium_front(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Call>()?;
    module.add_class::<Handshake>()?;
    module.add_class::<Server>()
}
