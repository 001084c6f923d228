//! The handlers of Convex's routes. In which order a handler judges decides which fault is told, so
//! the order is Convex's: on `/api/run` a bad token beats a bad path, on the others a bad path
//! beats a bad token, and the format is judged when the answer is there.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::response::Response;
use convex_wire::request::{
    QueryBatchArgs, UdfPostRequest, UdfPostRequestArgsOnly, UdfPostRequestWithComponent,
    UdfPostWithTsRequest, get_query_fault,
};
use convex_wire::response::{REQUEST_ID_HEADER, write_failure, write_success};
use convex_wire::{
    ClientVersion, Format, FunctionError, FunctionKind, FunctionPath, RequestId, Timestamp,
    TransportError, client, path,
};
use domain::WorkosUserId;
use read_model::AnsweredProfile;
use tokio::sync::SemaphorePermit;

use super::authorization::Credentials;
use super::failure::Failure;
use super::freshness;
use super::response::{Answer, Room, json, whole};
use crate::QueryState;
use crate::call::{Wording, check_call};
use crate::metrics::shed;

/// How far back a timestamp may lie. Its answer is of now, which is what a client can tell from one
/// of then only by having heard of a change in between.
const TIMESTAMP_AGE_MAX: Duration = Duration::from_secs(30);

type Shared = Arc<QueryState>;
type Handled = Result<Response, Failure>;

/// `POST /api/run/{*path}`
pub(super) async fn run(state: Shared, request: Request) -> Handled {
    let (request, body) = request.into_parts();
    let tail = request
        .uri
        .path()
        .strip_prefix("/api/run/")
        .unwrap_or_default();
    let tail = path::decode_url_tail(tail)?;
    let asked = Asked::of(&request)?;
    let body: UdfPostRequestArgsOnly = state.json(&request, body).await?;
    let _place = state.enter()?;
    let subject = asked.credentials.identify(&state).await?;
    let path = FunctionPath::parse_url_tail(&tail)?;
    let verdict = check_call(path, FunctionKind::Query, Wording::Any, &body.args);
    let format = (body.format.as_deref(), Format::Clean);
    state
        .answer(&asked, subject.as_ref(), verdict, format)
        .await
}

/// `POST /api/query`
pub(super) async fn query(state: Shared, request: Request) -> Handled {
    call(state, request, FunctionKind::Query).await
}

/// `POST /api/mutation`
pub(super) async fn mutation(state: Shared, request: Request) -> Handled {
    call(state, request, FunctionKind::Mutation).await
}

/// `POST /api/action`
pub(super) async fn action(state: Shared, request: Request) -> Handled {
    call(state, request, FunctionKind::Action).await
}

async fn call(state: Shared, request: Request, called: FunctionKind) -> Handled {
    let (request, body) = request.into_parts();
    let asked = Asked::of(&request)?;
    let body: UdfPostRequest = state.json(&request, body).await?;
    let path = FunctionPath::parse(&body.path)?;
    let _place = state.enter()?;
    let subject = asked.credentials.identify(&state).await?;
    let verdict = check_call(path, called, Wording::Public, &body.args);
    let format = (body.format.as_deref(), default_format(&request));
    state
        .answer(&asked, subject.as_ref(), verdict, format)
        .await
}

/// `GET /api/query`
pub(super) async fn get_query(_state: Shared, request: Request) -> Failure {
    let query = request.uri().query().unwrap_or_default();
    let names = query
        .split('&')
        .map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
    get_query_fault(names).into()
}

/// `POST /api/query_ts`
pub(super) async fn query_ts(state: Shared, _request: Request) -> Response {
    json(Body::from(format!(r#"{{"ts":"{}"}}"#, state.now())))
}

/// `POST /api/query_at_ts`
pub(super) async fn query_at_ts(state: Shared, request: Request) -> Handled {
    let (request, body) = request.into_parts();
    let asked = Asked::of(&request)?;
    let body: UdfPostWithTsRequest = state.json(&request, body).await?;
    let path = FunctionPath::parse(&body.path)?;
    let _place = state.enter()?;
    let subject = asked.credentials.identify(&state).await?;
    check_timestamp(&body.ts, state.now())?;
    let verdict = check_call(path, FunctionKind::Query, Wording::Public, &body.args);
    let format = (body.format.as_deref(), default_format(&request));
    state
        .answer(&asked, subject.as_ref(), verdict, format)
        .await
}

/// `POST /api/query_batch`: all from one state of the rows.
pub(super) async fn query_batch(state: Shared, request: Request) -> Handled {
    let (request, body) = request.into_parts();
    let asked = Asked::of(&request)?;
    let batch: QueryBatchArgs = state.json(&request, body).await?;
    let _place = state.enter()?;
    let subject = asked.credentials.identify(&state).await?;
    let default = default_format(&request);
    let mut verdicts = Vec::with_capacity(batch.queries.len());
    for item in &batch.queries {
        let format = item.format.as_deref().map_or(Ok(default), Format::parse);
        let format = format.map_err(TransportError::from)?;
        let path = FunctionPath::parse(&item.path)?;
        let verdict = check_call(path, FunctionKind::Query, Wording::Public, &item.args);
        verdicts.push(verdict.map(|()| format));
    }
    asked.wait(&state, subject.as_ref()).await?;
    let answer = state.profile_of(subject.as_ref())?;
    let peer = state.peer(&request);
    // Given back below: each value takes its own.
    drop(state.reserve(&peer, answer.row_bytes())?);
    let mut values = Values::new(answer.profile()?);
    let (limit, mut left) = (state.limits.answer_bytes, state.limits.answer_bytes);
    let mut body = Answer::default();
    body.own().extend_from_slice(br#"{"results":["#);
    for (at, verdict) in verdicts.into_iter().enumerate() {
        if at != 0 {
            body.own().push(b',');
        }
        let value = match verdict {
            Ok(format) => Ok(values.of(format, |bytes| state.account(&peer, bytes))?),
            Err(error) => Err(error),
        };
        let fits = value.and_then(|value| {
            let after = left.checked_sub(value.len());
            left = after.ok_or(FunctionError::TooManyBytes { limit })?;
            Ok(value)
        });
        match fits {
            Ok(value) => body.share(value),
            Err(error) => state.write_error(body.own(), &asked, &error),
        }
    }
    body.own().extend_from_slice(b"]}");
    let mut response = body.respond(&state, &peer)?;
    freshness::tell(&mut response, answer.sequence);
    Ok(response)
}

/// The answers to equal queries: each is written once.
struct Values<'p> {
    profile: Option<AnsweredProfile<'p>>,
    written: Vec<(Format, Bytes)>,
}

impl<'p> Values<'p> {
    fn new(profile: Option<AnsweredProfile<'p>>) -> Self {
        let written = Vec::new();
        Self { profile, written }
    }

    fn of(
        &mut self,
        format: Format,
        account: impl FnOnce(Vec<u8>) -> Result<Bytes, Failure>,
    ) -> Result<&Bytes, Failure> {
        let written = self.written.iter().position(|(known, _)| *known == format);
        let at = written.unwrap_or(self.written.len());
        if written.is_none() {
            let mut value = Vec::with_capacity(1024);
            write_answer(&mut value, format, self.profile.as_ref());
            self.written.push((format, account(value)?));
        }
        let value = self.written.get(at).map(|(_, value)| value);
        value.ok_or(Failure::Transport(TransportError::InternalServerError))
    }
}

/// `POST /api/function`: for admins, and there are none.
pub(super) async fn function(state: Shared, request: Request) -> Failure {
    let (request, body) = request.into_parts();
    let judged = async {
        let asked = Asked::of(&request)?;
        state
            .json::<UdfPostRequestWithComponent>(&request, body)
            .await?;
        let _place = state.enter()?;
        asked.credentials.identify(&state).await
    };
    judged
        .await
        .err()
        .unwrap_or(TransportError::BadDeployKey.into())
}

/// What a request's header asks for.
struct Asked<'r> {
    credentials: Credentials<'r>,
    min_sequence: Option<u64>,
    request_id: Option<&'r str>,
    request: &'r Parts,
}

impl<'r> Asked<'r> {
    fn of(request: &'r Parts) -> Result<Self, Failure> {
        let credentials = Credentials::of(request)?;
        let min_sequence = freshness::min_sequence(request)?;
        let request_id = request
            .headers
            .get(REQUEST_ID_HEADER)
            .and_then(|id| id.to_str().ok());
        Ok(Self {
            credentials,
            min_sequence,
            request_id,
            request,
        })
    }

    /// Waits for the rows to be as new as wanted.
    async fn wait(
        &self,
        state: &QueryState,
        subject: Option<&WorkosUserId>,
    ) -> Result<(), Failure> {
        match self.min_sequence {
            Some(wanted) => state.reach(wanted, subject).await,
            None => Ok(()),
        }
    }

    fn request_id(&self) -> RequestId {
        match self.request_id {
            Some(given) => RequestId::given(given),
            None => RequestId::from_random(rand::random()),
        }
    }
}

fn default_format(request: &Parts) -> Format {
    let client = request
        .headers
        .get(client::CLIENT_HEADER)
        .and_then(|value| value.to_str().ok());
    let client = client.and_then(|client| ClientVersion::parse(client).ok());
    Format::default_for(client.as_ref())
}

fn check_timestamp(text: &str, now: Timestamp) -> Result<(), TransportError> {
    let asked = Timestamp::parse(text).map_err(|_fault| TransportError::InternalServerError)?;
    let age = now
        .0
        .checked_sub(asked.0)
        .ok_or(TransportError::InternalServerError)?;
    if Duration::from_nanos(age) > TIMESTAMP_AGE_MAX {
        return Err(TransportError::OutOfRetention);
    }
    Ok(())
}

impl QueryState {
    /// Takes a place among the requests that are being answered.
    fn enter(&self) -> Result<SemaphorePermit<'_>, Failure> {
        self.in_flight.try_acquire().map_err(|_none_left| {
            shed("in_flight");
            Failure::Busy
        })
    }

    /// Runs the query unless the verdict is against it, and puts the answer in its envelope.
    async fn answer(
        &self,
        asked: &Asked<'_>,
        subject: Option<&WorkosUserId>,
        verdict: Result<(), FunctionError>,
        (format, default): (Option<&str>, Format),
    ) -> Handled {
        let outcome = match verdict {
            Ok(()) => {
                asked.wait(self, subject).await?;
                Ok(self.profile_of(subject)?)
            }
            Err(error) => Err(error),
        };
        let format = format
            .map_or(Ok(default), Format::parse)
            .map_err(TransportError::from)?;
        let peer = self.peer(asked.request);
        let mut body = Vec::with_capacity(1024);
        let mut room = Room::default();
        let sequence = match outcome {
            Ok(answer) => {
                room = self.reserve(&peer, answer.row_bytes())?;
                write_answer(&mut body, format, answer.profile()?.as_ref());
                Some(answer.sequence)
            }
            Err(error) => {
                self.write_error(&mut body, asked, &error);
                None
            }
        };
        let mut response = whole(self.fill(&peer, room, body)?);
        if let Some(sequence) = sequence {
            freshness::tell(&mut response, sequence);
        }
        Ok(response)
    }

    fn write_error(&self, body: &mut Vec<u8>, asked: &Asked<'_>, error: &FunctionError) {
        let request = asked.request_id();
        if request.is_plain() {
            tracing::debug!(%request, "a call is answered with an error");
        }
        write_failure(body, &error.error_message(&request, self.texts));
    }
}

fn write_answer(body: &mut Vec<u8>, format: Format, profile: Option<&AnsweredProfile<'_>>) {
    write_success(body, |body| answer::write_profile(body, format, profile));
}
