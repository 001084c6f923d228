//! Where each setting of NATS comes from: flags and their variables, then the context, then the variables of the
//! `nats` tool. Settings that belong together come from one place.

use std::borrow::Cow;
use std::path::PathBuf;

use jetstream::{ApiPrefix, TlsFiles};

use super::context::Context;
use super::faults::Judge;
use super::nats::{NatsCredentials, Secret};
use super::{judge_file, judge_pair};
use crate::cli::NatsArgs;

/// How a setting is named in a fault.
pub(super) type Place = Cow<'static, str>;

/// Where settings may come from, the first that has one.
pub(super) struct Sources<'a> {
    pub(super) args: &'a NatsArgs,
    pub(super) context: Option<&'a Context>,
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Sources<'_> {
    /// Where servers are.
    pub(super) fn url(&self) -> Option<(Place, String)> {
        let of_context = |context: &Context| {
            let url = context.text("url")?;
            Some((context.place("url").into(), url.to_owned()))
        };
        let flag = self.args.nats_url.clone();
        flag.map(|url| ("--nats-url".into(), url))
            .or_else(|| self.context.and_then(of_context))
            .or_else(|| Some(("NATS_URL".into(), (self.variable)("NATS_URL")?)))
    }

    /// Who we are.
    pub(super) fn credentials(&self, judge: &mut Judge) -> NatsCredentials {
        self.by_flags(judge)
            .or_else(|| self.by_url())
            .or_else(|| self.by_context(judge))
            .or_else(|| self.by_variables(judge))
            .unwrap_or(NatsCredentials::Url)
    }

    fn by_flags(&self, judge: &mut Judge) -> Option<NatsCredentials> {
        let args = self.args;
        let mut given = Vec::new();
        if let Some(path) = file("--nats-creds", args.nats_creds.as_ref(), judge) {
            given.push(("--nats-creds", NatsCredentials::Creds(path)));
        }
        if let Some(path) = file("--nats-nkey", args.nats_nkey.as_ref(), judge) {
            given.push(("--nats-nkey", NatsCredentials::Nkey(path)));
        }
        let password = file(
            "--nats-password-file",
            args.nats_password_file.as_ref(),
            judge,
        );
        match (&args.nats_user, password) {
            (Some(user), Some(path)) => {
                let (user, password) = (user.clone(), Secret::File(path));
                given.push(("--nats-user", NatsCredentials::Password { user, password }));
            }
            (None, Some(_)) => {
                judge.fault("--nats-user", "is missing, --nats-password-file needs it");
            }
            (Some(_), None) => {
                judge.fault("--nats-password-file", "is missing, --nats-user needs it");
            }
            (None, None) => {}
        }
        if let Some(path) = file("--nats-token-file", args.nats_token_file.as_ref(), judge) {
            given.push((
                "--nats-token-file",
                NatsCredentials::Token(Secret::File(path)),
            ));
        }
        one_of(given, judge)
    }

    /// Who is named by the flag goes before what a context says.
    fn by_url(&self) -> Option<NatsCredentials> {
        let url = self.args.nats_url.as_ref()?;
        url.contains('@').then_some(NatsCredentials::Url)
    }

    fn by_context(&self, judge: &mut Judge) -> Option<NatsCredentials> {
        let context = self.context?;
        let told = |member: &str, text: &str| Secret::Told {
            text: text.to_owned(),
            by: context.place(member),
        };
        let mut given: Vec<(Place, _)> = Vec::new();
        if let Some(user) = context.text("user") {
            let user = user.to_owned();
            let password = told("password", context.text("password").unwrap_or_default());
            let password = NatsCredentials::Password { user, password };
            given.push((context.place("user").into(), password));
        }
        for (member, kind) in FILES {
            let (place, path) = (context.place(member), context.file(member));
            if let Some(path) = file(place.clone(), path.as_ref(), judge) {
                given.push((place.into(), kind(path)));
            }
        }
        if let Some(token) = context.text("token") {
            let secret = NatsCredentials::Token(told("token", token));
            given.push((context.place("token").into(), secret));
        }
        one_of(given, judge).or_else(|| {
            let url = context.text("url").filter(|url| url.contains('@'));
            url.map(|_| NatsCredentials::Url)
        })
    }

    fn by_variables(&self, judge: &mut Judge) -> Option<NatsCredentials> {
        let told = |name: &str, text: String| Secret::Told {
            text,
            by: name.to_owned(),
        };
        let mut given: Vec<(Place, _)> = Vec::new();
        let user = (self.variable)("NATS_USER");
        match (user, (self.variable)("NATS_PASSWORD")) {
            (Some(user), Some(password)) => {
                let password = told("NATS_PASSWORD", password);
                let password = NatsCredentials::Password { user, password };
                given.push(("NATS_USER".into(), password));
            }
            // As the tool reads it: a user without a password is a token.
            (Some(token), None) => {
                let token = NatsCredentials::Token(told("NATS_USER", token));
                given.push(("NATS_USER".into(), token));
            }
            (None, Some(_)) => judge.fault("NATS_USER", "is missing, NATS_PASSWORD needs it"),
            (None, None) => {}
        }
        for (name, (_, kind)) in ["NATS_CREDS", "NATS_NKEY"].into_iter().zip(FILES) {
            let path = (self.variable)(name).map(PathBuf::from);
            if let Some(path) = file(name, path.as_ref(), judge) {
                given.push((name.into(), kind(path)));
            }
        }
        if let Some(token) = (self.variable)("NATS_TOKEN") {
            let token = NatsCredentials::Token(told("NATS_TOKEN", token));
            given.push(("NATS_TOKEN".into(), token));
        }
        one_of(given, judge)
    }

    /// By what a server is trusted, and our certificate.
    pub(super) fn tls(&self, judge: &mut Judge) -> TlsFiles {
        let args = self.args;
        let of_context = |member: &str| self.context.and_then(|context| context.file(member));
        let of_variable = |name: &str| (self.variable)(name).map(PathBuf::from);
        let place = |member: &'static str| -> Place {
            match self.context {
                Some(context) => context.place(member).into(),
                None => member.into(),
            }
        };
        let ca = file("--nats-tls-ca", args.nats_tls_ca.as_ref(), judge)
            .or_else(|| file(place("ca"), of_context("ca").as_ref(), judge))
            .or_else(|| file("NATS_CA", of_variable("NATS_CA").as_ref(), judge));
        let mut pair = |cert: (Place, Option<PathBuf>), key: (Place, Option<PathBuf>)| {
            let cert = (cert.0, cert.1.as_deref());
            judge_pair(cert, (key.0, key.1.as_deref()), judge)
        };
        let client = pair(
            ("--nats-tls-cert".into(), args.nats_tls_cert.clone()),
            ("--nats-tls-key".into(), args.nats_tls_key.clone()),
        )
        .or_else(|| {
            pair(
                (place("cert"), of_context("cert")),
                (place("key"), of_context("key")),
            )
        })
        .or_else(|| {
            pair(
                ("NATS_CERT".into(), of_variable("NATS_CERT")),
                ("NATS_KEY".into(), of_variable("NATS_KEY")),
            )
        });
        TlsFiles {
            ca,
            client: client.map(|pair| (pair.cert, pair.key)),
            first: args.nats_tls_first || self.context.is_some_and(|held| held.is_on("tls_first")),
        }
    }

    /// Where JetStream takes requests.
    pub(super) fn api(&self, judge: &mut Judge) -> Option<ApiPrefix> {
        let flags = [
            ("--nats-js-domain".into(), self.args.nats_js_domain.clone()),
            (
                "--nats-api-prefix".into(),
                self.args.nats_api_prefix.clone(),
            ),
        ];
        let of_context = |context: &Context| {
            ["jetstream_domain", "jetstream_api_prefix"].map(|member| -> (Place, _) {
                let text = context.text(member).map(ToOwned::to_owned);
                (context.place(member).into(), text)
            })
        };
        let is_given = flags.iter().any(|(_, text)| text.is_some());
        let told = match self.context.filter(|_| !is_given) {
            Some(context) => of_context(context),
            None => flags,
        };
        let [(domain_place, domain), (prefix_place, prefix)] = told;
        let (place, api) = match (domain, prefix) {
            (None, None) => return Some(ApiPrefix::default()),
            (Some(_), Some(_)) => {
                judge.fault(prefix_place, format!("excludes {domain_place}: give one"));
                return None;
            }
            (Some(domain), None) => (domain_place, ApiPrefix::of_domain(&domain)),
            (None, Some(prefix)) => (prefix_place, ApiPrefix::of_import(&prefix)),
        };
        if api.is_none() {
            judge.fault(
                place,
                "is no part of a subject: no space, *, > or empty part is allowed",
            );
        }
        api
    }
}

/// What of a context is a file that says who we are.
const FILES: [(&str, Kind); 2] = [
    ("creds", NatsCredentials::Creds),
    ("nkey", NatsCredentials::Nkey),
];

type Kind = fn(PathBuf) -> NatsCredentials;

/// The only one that was given; which of several was meant is not guessed.
fn one_of(
    given: Vec<(impl Into<Place>, NatsCredentials)>,
    judge: &mut Judge,
) -> Option<NatsCredentials> {
    let mut given = given.into_iter().map(|(place, who)| (place.into(), who));
    let (first, credentials) = given.next()?;
    for (place, _) in given {
        judge.fault(place, format!("excludes {first}: give one"));
    }
    Some(credentials)
}

/// A file that was given, if it was; it must be there.
fn file(place: impl Into<Place>, path: Option<&PathBuf>, judge: &mut Judge) -> Option<PathBuf> {
    let path = path?;
    judge_file(place, path, judge);
    Some(path.clone())
}
