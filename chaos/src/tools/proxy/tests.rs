use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);
/// Long enough to tell "never" on loopback.
const A_WHILE: Duration = Duration::from_millis(300);

/// Answers every request of five bytes with its bytes turned round; tells what it read and how a connection ended.
struct Target {
    address: SocketAddr,
    heard: mpsc::UnboundedReceiver<Heard>,
}

#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Bytes(Vec<u8>),
    Closed,
    Reset,
}

impl Target {
    async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (say, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, say.clone()));
            }
        });
        Self { address, heard }
    }

    async fn next(&mut self) -> Heard {
        timeout(PATIENCE, self.heard.recv()).await.expect("in time").expect("the target runs")
    }

    async fn hears_nothing(&mut self) {
        let heard = timeout(A_WHILE, self.heard.recv()).await;
        assert!(heard.is_err(), "{heard:?}");
    }
}

async fn answer(mut stream: TcpStream, say: mpsc::UnboundedSender<Heard>) {
    let mut request = Vec::new();
    loop {
        let mut piece = [0; 1_024];
        match stream.read(&mut piece).await {
            Ok(0) => return say.send(Heard::Closed).unwrap(),
            Err(_) => return say.send(Heard::Reset).unwrap(),
            Ok(n) => {
                say.send(Heard::Bytes(piece[..n].to_vec())).unwrap();
                request.extend_from_slice(&piece[..n]);
            }
        }
        while request.len() >= 5 {
            let mut answer: Vec<u8> = request.drain(..5).collect();
            answer.reverse();
            if stream.write_all(&answer).await.is_err() {
                return say.send(Heard::Reset).unwrap();
            }
        }
    }
}

struct Client(TcpStream);

impl Client {
    async fn connect(proxy: &Proxy) -> Self {
        Self(TcpStream::connect(proxy.address()).await.unwrap())
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    async fn reads(&mut self, wanted: &[u8]) {
        let mut read = vec![0; wanted.len()];
        timeout(PATIENCE, self.0.read_exact(&mut read)).await.expect("in time").unwrap();
        assert_eq!(read, wanted);
    }

    async fn reads_nothing(&mut self) {
        let read = timeout(A_WHILE, self.0.read(&mut [0; 16])).await;
        assert!(read.is_err(), "{read:?}");
    }

    async fn is_reset(&mut self) {
        let read = timeout(PATIENCE, self.0.read(&mut [0; 16])).await.expect("in time");
        assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    }

    async fn is_closed(&mut self) {
        let read = timeout(PATIENCE, self.0.read(&mut [0; 16])).await.expect("in time");
        assert_eq!(read.unwrap(), 0);
    }
}

async fn stage() -> (Proxy, Target) {
    let target = Target::start().await;
    let proxy = Proxy::start(([127, 0, 0, 1], 0).into(), target.address).await.unwrap();
    (proxy, target)
}

#[tokio::test]
async fn it_passes_both_ways_and_the_client_s_end_too() {
    let (proxy, mut target) = stage().await;
    let mut client = Client::connect(&proxy).await;
    client.send(b"12345").await;
    client.reads(b"54321").await;
    assert_eq!(target.next().await, Heard::Bytes(b"12345".to_vec()));
    client.0.shutdown().await.unwrap();
    assert_eq!(target.next().await, Heard::Closed);
    client.is_closed().await;
    assert_eq!((proxy.connections(), proxy.struck()), (1, 0));
}

#[tokio::test]
async fn delays_are_of_each_direction_and_end_with_the_fault() {
    let (proxy, _target) = stage().await;
    let mut client = Client::connect(&proxy).await;
    let late = Duration::from_millis(200);
    proxy.set(Fault::Delay { request: late, answer: late * 2 });
    let began = Instant::now();
    client.send(b"12345").await;
    client.reads(b"54321").await;
    assert!(began.elapsed() >= late * 3 && proxy.struck() == 1, "{:?}", began.elapsed());
    proxy.set(Fault::Pass);
    let began = Instant::now();
    client.send(b"12345").await;
    client.reads(b"54321").await;
    assert!(began.elapsed() < late, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_throttled_connection_takes_its_time() {
    let (proxy, _target) = stage().await;
    proxy.set(Fault::Throttle { bytes_per_s: 200 });
    let mut client = Client::connect(&proxy).await;
    let began = Instant::now();
    client.send(&[b'x'; 100]).await;
    client.reads(&[b'x'; 100]).await;
    assert!(began.elapsed() >= Duration::from_millis(450), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_cut_resets_both_sides_after_so_many_bytes_of_the_request() {
    let (proxy, mut target) = stage().await;
    let mut client = Client::connect(&proxy).await;
    proxy.set(Fault::Cut { after_bytes: 3 });
    client.send(b"12345").await;
    assert_eq!(target.next().await, Heard::Bytes(b"123".to_vec()));
    assert_eq!(target.next().await, Heard::Reset, "no orderly end");
    client.is_reset().await;
}

#[tokio::test]
async fn cutting_now_resets_what_is_open_and_nothing_after_it() {
    let (proxy, mut target) = stage().await;
    let mut first = Client::connect(&proxy).await;
    first.send(b"12345").await;
    first.reads(b"54321").await;
    proxy.cut();
    first.is_reset().await;
    assert_eq!(target.next().await, Heard::Bytes(b"12345".to_vec()));
    assert_eq!(target.next().await, Heard::Reset);
    let mut second = Client::connect(&proxy).await;
    second.send(b"12345").await;
    second.reads(b"54321").await;
}

#[tokio::test]
async fn a_lost_answer_was_worked_for_and_never_comes_even_when_all_is_well_again() {
    let (proxy, mut target) = stage().await;
    let mut client = Client::connect(&proxy).await;
    proxy.set(Fault::LoseAnswer(Loss::Silence));
    client.send(b"12345").await;
    assert_eq!(target.next().await, Heard::Bytes(b"12345".to_vec()));
    client.reads_nothing().await;
    proxy.set(Fault::Pass);
    client.send(b"abcde").await;
    client.reads_nothing().await;
    let mut other = Client::connect(&proxy).await;
    other.send(b"12345").await;
    other.reads(b"54321").await;
    proxy.cut();
    client.is_reset().await;
}

#[tokio::test]
async fn a_lost_answer_can_come_as_a_reset_or_as_another_one() {
    let (proxy, mut target) = stage().await;
    for (fault, is_reset) in
        [(Fault::LoseAnswer(Loss::Reset), true), (Fault::ReplaceAnswer(b"no".to_vec()), false)]
    {
        proxy.set(fault);
        let mut client = Client::connect(&proxy).await;
        client.send(b"12345").await;
        assert_eq!(target.next().await, Heard::Bytes(b"12345".to_vec()));
        if is_reset {
            client.is_reset().await;
        } else {
            client.reads(b"no").await;
            client.is_closed().await;
        }
        assert!(matches!(target.next().await, Heard::Reset | Heard::Closed));
        assert_eq!(proxy.struck(), 1);
    }
}

#[tokio::test]
async fn a_stalled_request_goes_on_when_the_fault_is_gone() {
    let (proxy, mut target) = stage().await;
    let mut client = Client::connect(&proxy).await;
    proxy.set(Fault::Stall { after_bytes: 3 });
    client.send(b"12345").await;
    assert_eq!(target.next().await, Heard::Bytes(b"123".to_vec()));
    target.hears_nothing().await;
    proxy.set(Fault::Pass);
    client.reads(b"54321").await;
}

#[tokio::test]
async fn a_half_open_connection_is_taken_and_left_alone() {
    let (proxy, mut target) = stage().await;
    proxy.set(Fault::Stall { after_bytes: 0 });
    let mut client = Client::connect(&proxy).await;
    client.send(b"12345").await;
    client.reads_nothing().await;
    target.hears_nothing().await;
    assert_eq!(proxy.struck(), 1);
    proxy.set(Fault::Pass);
    client.reads(b"54321").await;
}

#[tokio::test]
async fn a_refusing_proxy_has_no_connections_and_comes_back_on_its_port() {
    let (proxy, _target) = stage().await;
    let mut open = Client::connect(&proxy).await;
    open.send(b"12345").await;
    open.reads(b"54321").await;
    proxy.set(Fault::Refuse);
    open.is_reset().await;
    let refused = async {
        while TcpStream::connect(proxy.address()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, refused).await.expect("refused");
    proxy.set(Fault::Pass);
    let taken = async {
        loop {
            if let Ok(stream) = TcpStream::connect(proxy.address()).await {
                break stream;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let mut client = Client(timeout(PATIENCE, taken).await.expect("taken"));
    client.send(b"12345").await;
    client.reads(b"54321").await;
}

#[tokio::test]
async fn a_trigger_strikes_only_where_its_bytes_are_sent_and_only_so_often() {
    let (proxy, mut target) = stage().await;
    proxy.arm(Trigger::on(b"45").times(1), Fault::LoseAnswer(Loss::Reset));
    let mut other = Client::connect(&proxy).await;
    other.send(b"abcde").await;
    other.reads(b"edcba").await;
    let mut struck = Client::connect(&proxy).await;
    struck.send(b"1234").await;
    // the trigger comes in two pieces
    for _ in 0..2 {
        assert!(matches!(target.next().await, Heard::Bytes(_)));
    }
    struck.send(b"5").await;
    struck.is_reset().await;
    let mut again = Client::connect(&proxy).await;
    again.send(b"12345").await;
    again.reads(b"54321").await;
    assert_eq!(proxy.struck(), 1);
}

#[tokio::test]
async fn an_answer_that_a_trigger_took_is_lost_also_when_the_fault_is_gone_by_then() {
    let (proxy, mut target) = stage().await;
    proxy.arm(Trigger::on(b"1"), Fault::LoseAnswer(Loss::Reset));
    let mut client = Client::connect(&proxy).await;
    client.send(b"1234").await;
    assert_eq!(target.next().await, Heard::Bytes(b"1234".to_vec()));
    proxy.set(Fault::Pass);
    client.send(b"5").await;
    client.is_reset().await;
}

#[tokio::test]
async fn bytes_count_from_the_trigger_s_end() {
    let (proxy, mut target) = stage().await;
    proxy.arm(Trigger::on(b"23"), Fault::Cut { after_bytes: 1 });
    let mut client = Client::connect(&proxy).await;
    client.send(b"12345").await;
    assert_eq!(target.next().await, Heard::Bytes(b"1234".to_vec()));
    client.is_reset().await;
}

#[tokio::test]
async fn needles_are_looked_for_one_after_the_other_over_all_pieces() {
    let (proxy, mut target) = stage().await;
    proxy.arm(Trigger::on(b"IN").then(b"\n\n"), Fault::Cut { after_bytes: 2 });
    let mut client = Client::connect(&proxy).await;
    for piece in [&b"\n\nI"[..], b"N\n", b"\n1234"] {
        client.send(piece).await;
        assert!(matches!(target.next().await, Heard::Bytes(_)));
    }
    assert_eq!(target.next().await, Heard::Reset);
    client.is_reset().await;
    assert_eq!(proxy.struck(), 1);
}

#[tokio::test]
async fn an_answer_instead_reads_the_whole_request_and_shows_it_to_nobody() {
    let (proxy, mut target) = stage().await;
    proxy.arm(Trigger::on(b"INSERT"), Fault::AnswerInstead(b"HTTP/1.1 500 no\r\n\r\n".to_vec()));
    let mut client = Client::connect(&proxy).await;
    client.send(b"POST /INSERT HTTP/1.1\r\n\r\n3\r\nabc").await;
    client.reads_nothing().await;
    client.send(b"\r\n0\r\n\r\n").await;
    client.reads(b"HTTP/1.1 500 no\r\n\r\n").await;
    client.is_closed().await;
    assert!(matches!(target.next().await, Heard::Closed), "no byte of it");
}

#[tokio::test]
async fn a_target_that_is_away_is_a_reset() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let proxy = Proxy::start(([127, 0, 0, 1], 0).into(), nobody).await.unwrap();
    Client::connect(&proxy).await.is_reset().await;
}
