//! A whole invocation over HTTP that changes nothing: alone, and many at once; with a store in memory,
//! and on a disk beside a handler of Node.js that keeps the same record.

use std::fs;
use std::path::{Path, PathBuf};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion};
use futures::future::join_all;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::process::Server;
use crate::{app, process};

/// The numbers of invocations at once. 16 is what the Functions host sends to an instance by default.
pub(crate) const AT_ONCE: [usize; 3] = [1, 16, 100];

/// The handler of Node.js.
const HANDLER: &str = include_str!("handler.js");

/// Measures. Returns a remark about what was not measured.
pub(crate) fn measure(criterion: &mut Criterion) -> Option<&'static str> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut group = criterion.benchmark_group("invocation");
    let floor = Server::floor();
    bench(&mut group, &runtime, "empty", &floor, "/", "");
    drop(floor);

    // Keys cannot be referenced, so the event is decoded and recorded without a request to Azure.
    let body = app::invocation("keys/sql", "KeyNewVersionCreated");
    let folder = app::folder("");
    app::with_precompiled_policies(folder.path(), 10);
    let stores = [("in-memory", in_memory()), ("on-disk", on_disk())];
    for (name, store) in &stores {
        let keyrelay = Server::keyrelay_at_rest(folder.path(), store.path().to_str().unwrap());
        let response = Callers::of(&keyrelay, &runtime, 1).post(&runtime, "/SecretEvent", &body);
        fs::write(folder.path().join("response"), response).unwrap();
        bench(&mut group, &runtime, name, &keyrelay, "/SecretEvent", &body);
    }
    let [_, (_, store)] = &stores;
    let record = record_in(&store.path().join("runs")).unwrap();
    let script = folder.path().join("handler.js");
    fs::write(&script, HANDLER).unwrap();
    let of_node = on_disk();
    let response = folder.path().join("response");
    let node = Server::node(&script, &[of_node.path(), &record, &response]);
    if let Some(node) = &node {
        bench(&mut group, &runtime, "node", node, "/SecretEvent", &body);
        assert!(record_in(&of_node.path().join("runs")).is_some());
    }
    group.finish();
    let is_missing = node.is_none();
    is_missing.then_some("Node.js is not installed, so its rows are missing.")
}

/// Measures a number of invocations at once, from the first request to the last response.
fn bench(
    group: &mut BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    name: &str,
    server: &Server,
    path: &str,
    body: &str,
) {
    for count in AT_ONCE {
        let mut callers = Callers::of(server, runtime, count);
        group.bench_function(BenchmarkId::new(name, count), |bencher| {
            bencher.iter(|| callers.post(runtime, path, body));
        });
    }
}

/// A folder in memory, if possible. The time of a disk would distort the ratio to the floor, which
/// keeps nothing, and in Azure the store is not on disk.
fn in_memory() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    }
    .unwrap()
}

/// A folder on the disk of the target folder: the one for temporary files may be in memory.
fn on_disk() -> TempDir {
    tempfile::tempdir_in(process::target_folder()).unwrap()
}

/// A record of a run.
fn record_in(runs: &Path) -> Option<PathBuf> {
    let day = fs::read_dir(runs).ok()?.flatten().next()?;
    let mut files = fs::read_dir(day.path()).ok()?.flatten();
    files.find_map(|file| {
        let path = file.path();
        path.extension()
            .is_some_and(|it| it == "json")
            .then_some(path)
    })
}

/// Persistent connections, as the Functions host uses.
struct Callers(Vec<SendRequest<Full<Bytes>>>);

impl Callers {
    fn of(server: &Server, runtime: &Runtime, count: usize) -> Self {
        server.until_ready();
        let connections = (0..count).map(|_| async {
            let stream = TcpStream::connect(server.address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            sender
        });
        Self(runtime.block_on(async { join_all(connections).await }))
    }

    /// Sends a request on each connection at once. Returns the body of one response.
    fn post(&mut self, runtime: &Runtime, path: &str, body: &str) -> Bytes {
        let posts = self.0.iter_mut().map(|caller| post(caller, path, body));
        let mut bodies = runtime.block_on(join_all(posts));
        bodies.pop().unwrap()
    }
}

async fn post(caller: &mut SendRequest<Full<Bytes>>, path: &str, body: &str) -> Bytes {
    let request = Request::post(path)
        .header("host", "localhost")
        .header("content-type", "application/json");
    let request = request
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .unwrap();
    caller.ready().await.unwrap();
    let response = caller.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    response.into_body().collect().await.unwrap().to_bytes()
}
