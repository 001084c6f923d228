//! A connection for requests and publishing, which connects again by itself until everybody lets go of it.
//!
//! It is the client library's, with an answer for every request: what was on its way when the connection was lost,
//! and what the server does not permit, is told at once, and everything else in time.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_nats::{Client, Message, Request};
use bytes::Bytes;
use rand::RngExt;
use rand::seq::SliceRandom;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, timeout, timeout_at};

use crate::address::ServerAddr;
use crate::api::ApiPrefix;
use crate::block::HeaderBlock;
use crate::client::{Ear, News, connect, is_of_inbox, unanswered};
use crate::error::{ConnectError, RequestError};
use crate::handshake::ServerInfo;
use crate::login::Login;
use crate::reader::Reader;

/// How long a request may take, its way through the library's queue included.
pub const REQUEST_WITHIN: Duration = Duration::from_secs(5);
/// News that a request that waits may miss before it only waits for its time to run out.
const NEWS_MAX: usize = 256;
/// Other servers of a cluster that are remembered.
const DISCOVERED_MAX: usize = 64;

/// Where to connect, and as whom.
#[derive(Clone)]
pub struct Settings {
    /// The servers of one cluster.
    pub servers: Vec<ServerAddr>,
    /// Who we are.
    pub login: Arc<dyn Login>,
    /// Where JetStream takes requests.
    pub api: ApiPrefix,
    /// What we are called in the server's lists.
    pub name: String,
    /// What our inboxes begin with; we have to be permitted to hear all below it.
    pub inbox: String,
}

/// What is known of the connection.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Why there is none now.
    pub problem: Option<Arc<ConnectError>>,
    /// What the server did not permit, in its words, which name the subject; the latest last, without repetitions.
    pub denied: Vec<String>,
    /// Answers cannot come: our inbox was refused, in these words.
    pub(crate) deaf: Option<String>,
    /// What the server said last, for people.
    pub(crate) said: Option<String>,
}

impl State {
    /// Whether our credentials were refused, or cannot be used, and no connection was made since.
    pub fn is_unauthorized(&self) -> bool {
        let problem = self.problem.as_deref();
        matches!(
            problem,
            Some(ConnectError::Unauthorized(_) | ConnectError::Login(_))
        )
    }
}

/// A connection for requests and publishing. Its clones are the same one.
#[derive(Clone)]
pub struct Connection {
    client: Client,
    settings: Arc<Settings>,
    state: watch::Sender<State>,
    /// Closed when the library's task has ended.
    news: broadcast::WeakSender<News>,
}

type Answering = Pin<Box<dyn Future<Output = Result<Message, async_nats::RequestError>> + Send>>;

/// A request on its way.
pub struct Pending {
    answering: Answering,
    news: broadcast::Receiver<News>,
    subject: String,
    inbox: String,
    largest: usize,
    until: Instant,
}

impl Pending {
    /// The body of the answer.
    pub async fn answer(mut self) -> Result<Bytes, RequestError> {
        let answering = timeout_at(self.until, self.answering);
        tokio::select! {
            biased;
            answer = answering => match answer {
                Ok(Ok(message)) => Ok(message.payload),
                Ok(Err(error)) => Err(unanswered(&error, self.largest)),
                Err(_elapsed) => Err(RequestError::TimedOut),
            },
            error = bad_news(&mut self.news, &self.subject, &self.inbox) => Err(error),
        }
    }
}

/// Waits until something tells that no answer will come.
async fn bad_news(
    news: &mut broadcast::Receiver<News>,
    subject: &str,
    inbox: &str,
) -> RequestError {
    let asked = format!("\"{subject}\"");
    loop {
        match news.recv().await {
            Ok(News::Lost(why)) => return RequestError::Lost(why),
            Ok(News::Unauthorized) => return RequestError::Unauthorized,
            Ok(News::Denied(said)) if said.contains(&asked) || is_of_inbox(&said, inbox) => {
                return RequestError::Denied(said);
            }
            Ok(News::Denied(_)) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => {
                return RequestError::Lost("its task ended".to_owned());
            }
        }
    }
}

impl Connection {
    /// Connects within seconds.
    pub async fn open(settings: Settings) -> Result<Self, ConnectError> {
        let state = watch::Sender::new(State::default());
        let news = broadcast::Sender::new(NEWS_MAX);
        let weak = news.downgrade();
        let ear = Ear {
            state: state.clone(),
            news,
            login: Arc::clone(&settings.login),
            inbox: settings.inbox.clone(),
        };
        let client = connect(&settings, ear).await?;
        Ok(Self {
            client,
            settings: Arc::new(settings),
            state,
            news: weak,
        })
    }

    /// What is known of the connection, now and later.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// What the server said of itself when it was connected.
    pub fn info(&self) -> ServerInfo {
        self.client.server_info().into()
    }

    /// Where JetStream takes requests.
    pub fn api(&self) -> &ApiPrefix {
        &self.settings.api
    }

    /// Forgets what was not permitted before; gives the last of it.
    pub fn forget_denied(&self) -> Option<String> {
        let mut last = None;
        let forget = |state: &mut State| {
            last = std::mem::take(&mut state.denied).pop();
            last.is_some()
        };
        self.state.send_if_modified(forget);
        last
    }

    /// A subject below our inboxes that nobody else has.
    pub fn new_inbox(&self) -> String {
        self.client.new_inbox()
    }

    /// Sends a request; what is sent first is sent first.
    pub async fn send(
        &self,
        subject: &str,
        headers: HeaderBlock,
        payload: Bytes,
    ) -> Result<Pending, RequestError> {
        // Before the state is looked at, so that nothing is told between the two.
        let news = self.news.upgrade().map(|news| news.subscribe());
        let Some(news) = news else {
            return Err(RequestError::Lost("its task ended".to_owned()));
        };
        {
            let state = self.state.borrow();
            if state.is_unauthorized() {
                return Err(RequestError::Unauthorized);
            }
            if let Some(said) = &state.deaf {
                return Err(RequestError::Denied(said.clone()));
            }
        }
        let mut request = Request::new().payload(payload).timeout(None);
        if let Some(headers) = headers.into_map() {
            request = request.headers(headers);
        }
        let (client, to) = (self.client.clone(), subject.to_owned());
        let mut pending = Pending {
            answering: Box::pin(async move { client.send_request(to, request).await }),
            news,
            subject: subject.to_owned(),
            inbox: self.settings.inbox.clone(),
            largest: self.client.max_payload(),
            until: Instant::now() + REQUEST_WITHIN,
        };
        // The first poll takes its place in the library's queue.
        let sent = poll_fn(|cx| Poll::Ready(pending.answering.as_mut().poll(cx))).await;
        match sent {
            Poll::Ready(Err(error)) => Err(unanswered(&error, pending.largest)),
            Poll::Ready(Ok(message)) => {
                pending.answering = Box::pin(std::future::ready(Ok(message)));
                Ok(pending)
            }
            Poll::Pending => Ok(pending),
        }
    }

    /// Sends a request and waits for the body of its answer.
    pub async fn request(&self, subject: &str, payload: Bytes) -> Result<Bytes, RequestError> {
        let sent = self.send(subject, HeaderBlock::default(), payload).await?;
        sent.answer().await
    }

    /// Asks to hear a subject: whether that is permitted is told by [`State::denied`], and messages are let fall.
    pub async fn try_to_hear(&self, subject: &str) -> Result<(), RequestError> {
        let asking = timeout(REQUEST_WITHIN, self.client.subscribe(subject.to_owned())).await;
        match asking {
            Ok(Ok(_heard)) => Ok(()),
            Ok(Err(_invalid)) => Err(RequestError::Invalid),
            Err(_elapsed) => Err(RequestError::TimedOut),
        }
    }

    /// Comes back when everything that was asked before is written to the server.
    pub async fn flush(&self) -> Result<(), RequestError> {
        match timeout(REQUEST_WITHIN, self.client.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_ended)) => Err(RequestError::Lost("its task ended".to_owned())),
            Err(_elapsed) => Err(RequestError::TimedOut),
        }
    }

    /// Gives the connection up for another one.
    pub async fn reconnect(&self) {
        // It connects again either way; this only makes it sooner.
        let connecting = async {
            self.client.force_reconnect().await.ok()?;
            self.client.flush().await.ok()
        };
        let _ = timeout(REQUEST_WITHIN, connecting).await;
    }

    /// Whether it will never connect again.
    pub fn is_gone(&self) -> bool {
        self.news.upgrade().is_none()
    }

    /// A connection of its own that reads, to one of the same servers.
    pub async fn reader(&self, name: &str) -> Result<Reader, ConnectError> {
        let discovered = self.info().connect_urls;
        connect_to_any(&self.settings, name, &discovered).await
    }
}

/// Connects to one of the servers, or of those that they told us of.
async fn connect_to_any(
    settings: &Settings,
    name: &str,
    discovered: &[String],
) -> Result<Reader, ConnectError> {
    let access = settings.login.access().map_err(ConnectError::Login)?;
    let mut servers = settings.servers.clone();
    for url in discovered.iter().take(DISCOVERED_MAX) {
        let Ok(found) = url.parse::<ServerAddr>() else {
            continue;
        };
        let is_same =
            |known: &ServerAddr| (known.host(), known.port()) == (found.host(), found.port());
        if !servers.iter().any(is_same) {
            servers.push(found);
        }
    }
    // So that clients spread over a cluster.
    servers.shuffle(&mut rand::rng());
    let mut last = ConnectError::Protocol("no server is named".to_owned());
    for server in servers {
        match Reader::connect(&server, name, &access).await {
            Ok(reader) => return Ok(reader),
            Err(refused @ ConnectError::Unauthorized(_)) => return Err(refused),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A part of a subject that nobody else has.
pub(crate) fn new_id() -> String {
    format!("{:032x}", rand::rng().random::<u128>())
}
