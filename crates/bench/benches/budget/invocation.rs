//! A whole invocation over HTTP that changes nothing.

use std::path::Path;

use criterion::Criterion;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::app;
use crate::process::Server;

pub(crate) fn measure(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut group = criterion.benchmark_group("invocation");

    let floor = Server::floor();
    let mut caller = Caller::of(&floor, &runtime);
    group.bench_function("empty", |bencher| {
        bencher.iter(|| runtime.block_on(caller.post("/", "")))
    });
    drop(floor);

    // Keys cannot be referenced, so the event is decoded and recorded without a request to Azure.
    let folder = app::folder("");
    app::with_precompiled_policies(folder.path(), 10);
    let store = store();
    let keyrelay = Server::keyrelay_at_rest(folder.path(), store.path().to_str().unwrap());
    let mut caller = Caller::of(&keyrelay, &runtime);
    let body = app::invocation("keys/sql", "KeyNewVersionCreated");
    group.bench_function("nothing-to-do", |bencher| {
        bencher.iter(|| runtime.block_on(caller.post("/SecretEvent", &body)));
    });
    group.finish();
}

/// Creates a folder in memory, if possible. The time of a disk would distort the result, and in
/// Azure the store is not on disk.
fn store() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    }
    .unwrap()
}

/// A persistent connection, as the Functions host uses.
struct Caller(SendRequest<Full<Bytes>>);

impl Caller {
    fn of(server: &Server, runtime: &Runtime) -> Self {
        server.until_ready();
        runtime.block_on(async {
            let stream = TcpStream::connect(server.address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            Self(sender)
        })
    }

    async fn post(&mut self, path: &str, body: &str) -> Bytes {
        let request = Request::post(path)
            .header("host", "localhost")
            .header("content-type", "application/json");
        let request = request
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
            .unwrap();
        self.0.ready().await.unwrap();
        let response = self.0.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        response.into_body().collect().await.unwrap().to_bytes()
    }
}
