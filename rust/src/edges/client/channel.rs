//! All connections to one endpoint: names to addresses, addresses to connections, calls to connections.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::connection::{Connection, KeepAlive};
use super::dial::Dialer;
use super::resolve::{Address, Target};

/// Wait between two attempts to connect, before jitter: first, and longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));
const BACK_OFF_FACTOR: f64 = 1.6;
/// A connection that lasted so long was of use, though nothing was sent.
const USEFUL: Duration = Duration::from_secs(1);
/// A name is not looked up more often than this.
const LOOK_UP_PAUSE: Duration = Duration::from_millis(500);

/// Which of the addresses behind a name take calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balancer {
    /// All, in turn.
    RoundRobin,
    /// The first that answers.
    PickFirst,
}

/// How a channel connects.
pub struct Settings {
    pub target: Target,
    /// Whom certificates must name.
    pub host: String,
    pub balancer: Balancer,
    pub keep_alive: Option<KeepAlive>,
    /// Wait for a connection rather than fail when there is none.
    pub wait_for_ready: bool,
    /// Time between two look-ups of a name.
    pub look_up_interval: Duration,
}

/// All connections to one endpoint. Connects at the first call; closes when dropped.
pub struct Channel {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    dialer: Dialer,
    table: Mutex<Table>,
    /// Something in the table changed.
    changed: Notify,
    /// The name should be looked up.
    stale: Notify,
    closed: Notify,
}

#[derive(Default)]
struct Table {
    started: bool,
    closed: bool,
    lines: Vec<Arc<Line>>,
    next: usize,
    /// Why there are no lines.
    failure: Option<String>,
    /// Times that keep-alive slowed down.
    calm: u32,
}

/// One connection at a time, made again whenever it ends.
struct Line {
    /// Tried in order.
    addresses: Mutex<Vec<Address>>,
    status: Mutex<Status>,
    dropped: Notify,
}

#[derive(Clone)]
enum Status {
    Connecting,
    Ready(Connection, Address),
    Failed(String),
}

enum Choice {
    Connection(Connection),
    Wait,
    Fail(String),
}

impl Channel {
    pub fn new(settings: Settings, dialer: Dialer) -> Self {
        let shared = Shared {
            settings,
            dialer,
            table: Mutex::default(),
            changed: Notify::new(),
            stale: Notify::new(),
            closed: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    pub fn dialer(&self) -> &Dialer {
        &self.shared.dialer
    }

    /// Close all connections; calls in flight go on.
    pub fn close(&self) {
        let lines = {
            let mut table = self.shared.table();
            table.closed = true;
            std::mem::take(&mut table.lines)
        };
        lines.iter().for_each(|line| line.dropped.notify_one());
        self.shared.closed.notify_one();
        self.shared.changed.notify_waiters();
    }

    /// A connection for the next call. Must run inside the runtime.
    pub async fn pick(&self) -> Result<Connection, String> {
        let shared = &self.shared;
        loop {
            let changed = shared.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            match shared.choose() {
                Choice::Connection(connection) => return Ok(connection),
                Choice::Fail(reason) if !shared.settings.wait_for_ready => return Err(reason),
                Choice::Fail(_) | Choice::Wait => changed.await,
            }
        }
    }

    /// Why there is no connection now, for the message of a call that waited in vain.
    pub fn complaint(&self) -> Option<String> {
        match self.shared.choose() {
            Choice::Fail(reason) => Some(reason),
            Choice::Wait => Some("still connecting".into()),
            Choice::Connection(_) => None,
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn choose(self: &Arc<Self>) -> Choice {
        let mut table = self.table();
        if table.closed {
            return Choice::Fail("the client is closed".into());
        }
        if !table.started {
            table.started = true;
            tokio::spawn(watch_name(self.clone()));
            return Choice::Wait;
        }
        let count = table.lines.len();
        let mut failure = table.failure.clone();
        let mut connecting = count == 0 && failure.is_none();
        for _ in 0..count {
            let at = table.next % count;
            table.next = at + 1;
            match &*table.lines[at].status() {
                Status::Ready(connection, _) if connection.is_open() => {
                    return Choice::Connection(connection.clone());
                }
                Status::Ready(..) | Status::Connecting => connecting = true,
                Status::Failed(reason) => failure = Some(reason.clone()),
            }
        }
        match failure {
            Some(reason) if !connecting => Choice::Fail(reason),
            _ => Choice::Wait,
        }
    }

    /// Make the lines fit what the name stands for now.
    fn update(self: &Arc<Self>, found: Result<Vec<Address>, String>) {
        let mut table = self.table();
        if table.closed {
            return;
        }
        let addresses = match found {
            Ok(addresses) => addresses,
            // What worked so far is better than nothing.
            Err(reason) => {
                if table.lines.is_empty() {
                    table.failure = Some(reason);
                }
                drop(table);
                self.changed.notify_waiters();
                return;
            }
        };
        table.failure = None;
        if self.settings.balancer == Balancer::PickFirst {
            match table.lines.first() {
                Some(line) => line.follow(addresses),
                None => table.lines.push(Line::start(self, addresses)),
            }
        } else {
            let mut lines = std::mem::take(&mut table.lines);
            for address in &addresses {
                if !lines.iter().any(|line| line.addresses().contains(address)) {
                    lines.push(Line::start(self, vec![address.clone()]));
                }
            }
            lines.retain(|line| {
                let kept = addresses.contains(&line.addresses()[0]);
                if !kept {
                    line.dropped.notify_one();
                }
                kept
            });
            table.lines = lines;
        }
        drop(table);
        self.changed.notify_waiters();
    }

    fn keep_alive(&self) -> Option<KeepAlive> {
        let calm = self.table().calm.min(8);
        self.settings
            .keep_alive
            .map(|keep| KeepAlive { time: keep.time.saturating_mul(1 << calm), ..keep })
    }

    async fn open(&self, address: &Address) -> Result<Connection, String> {
        let stream = self.dialer.connect(address, &self.settings.host).await?;
        Connection::open(stream, self.keep_alive()).await
    }
}

/// Look the name up now, whenever a connection fails, and from time to time.
async fn watch_name(shared: Arc<Shared>) {
    let by_proxy = |host: &str, port| shared.dialer.proxies.find(true, host, port).is_some();
    loop {
        let found = match &shared.settings.target {
            // Behind a proxy only the proxy may be able to look the name up.
            Target::Dns { host, port } if by_proxy(host, *port) => {
                Ok(vec![Address::Named { host: host.clone(), port: *port }])
            }
            target => shared.dialer.resolver.resolve(target).await,
        };
        let again = match found {
            Ok(_) => shared.settings.look_up_interval,
            Err(_) => BACK_OFF.1.min(shared.settings.look_up_interval),
        };
        shared.update(found);
        let earliest = Instant::now() + LOOK_UP_PAUSE;
        tokio::select! {
            () = shared.stale.notified() => {}
            () = tokio::time::sleep(again) => {}
            () = shared.closed.notified() => return,
        }
        tokio::time::sleep_until(earliest).await;
    }
}

impl Line {
    fn start(shared: &Arc<Shared>, addresses: Vec<Address>) -> Arc<Self> {
        let line = Arc::new(Self {
            addresses: Mutex::new(addresses),
            status: Mutex::new(Status::Connecting),
            dropped: Notify::new(),
        });
        tokio::spawn(tend(shared.clone(), line.clone()));
        line
    }

    fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn addresses(&self) -> MutexGuard<'_, Vec<Address>> {
        self.addresses.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Use these addresses from now on; leave a connection to any other.
    fn follow(&self, addresses: Vec<Address>) {
        if let Status::Ready(connection, address) = &*self.status()
            && !addresses.contains(address)
        {
            connection.retire();
        }
        *self.addresses() = addresses;
    }

    fn set(&self, shared: &Shared, status: Status) {
        *self.status() = status;
        shared.changed.notify_waiters();
    }
}

/// Keep a line connected until it is dropped.
async fn tend(shared: Arc<Shared>, line: Arc<Line>) {
    let mut back_off = BackOff::default();
    loop {
        let attempt = async {
            let mut failure = "there is no address".to_string();
            let addresses = line.addresses().clone();
            for address in addresses {
                match shared.open(&address).await {
                    Ok(connection) => return Ok((connection, address)),
                    Err(error) => failure = error,
                }
            }
            Err(failure)
        };
        let result = tokio::select! {
            result = attempt => result,
            () = line.dropped.notified() => return,
        };
        let failure = match result {
            Ok((connection, address)) => {
                let opened = Instant::now();
                line.set(&shared, Status::Ready(connection.clone(), address));
                let dropped = tokio::select! {
                    () = connection.over() => false,
                    () = line.dropped.notified() => true,
                };
                if dropped {
                    line.set(&shared, Status::Connecting);
                    connection.retire();
                    return;
                }
                if connection.wants_calm() {
                    shared.table().calm += 1;
                }
                shared.stale.notify_one();
                // One that was no use is no better than one refused, but the first is forgiven.
                let useful = connection.has_served() || opened.elapsed() > USEFUL;
                if useful || back_off.is_fresh() {
                    line.set(&shared, Status::Connecting);
                    back_off = BackOff { last: (!useful).then_some(BACK_OFF.0) };
                    continue;
                }
                connection.reason().unwrap_or_default()
            }
            Err(reason) => reason,
        };
        line.set(&shared, Status::Failed(failure));
        shared.stale.notify_one();
        tokio::select! {
            () = tokio::time::sleep(back_off.next()) => {}
            () = line.dropped.notified() => return,
        }
    }
}

/// Growing waits, jittered by a fifth.
#[derive(Default)]
struct BackOff {
    last: Option<Duration>,
}

impl BackOff {
    fn is_fresh(&self) -> bool {
        self.last.is_none()
    }

    fn next(&mut self) -> Duration {
        let wait =
            self.last.map_or(BACK_OFF.0, |last| last.mul_f64(BACK_OFF_FACTOR).min(BACK_OFF.1));
        self.last = Some(wait);
        wait.mul_f64(0.8 + 0.4 * fastrand::f64())
    }
}
