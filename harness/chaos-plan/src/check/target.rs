//! What the load is sent to: the description of its services, or an address.
//!
//! Invariant: every name in a description leads to a service.

use std::collections::BTreeMap;

use super::parts::{self, Taken};
use super::services::Checker;
use super::{Library, SourceFile, audit, cluster, names};
use crate::diagnostic::{Code, Diagnostics, Span, codes, quote};
use crate::file::format::{Text, Url};
use crate::file::located::{Located, Map, Optional};
use crate::file::scenario;
use crate::file::target as form;
use crate::file::{self};
use crate::plan::{
    Audit, Description, HttpVersion, PlatformName, RestartPolicy, Running, Target, WorkloadKind,
};

/// What can be reached and broken, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Reach {
    pub(super) plan: Option<Target>,
    /// Services to break; `None` if unknown, empty for an address.
    pub(super) services: Option<Vec<Role>>,
    pub(super) is_url: bool,
    /// How it can be asked what it holds; `Some(None)` if not at all, `None` if unknown.
    #[expect(clippy::option_option, reason = "none and unknown are not the same")]
    pub(super) audit: Option<Option<Audit>>,
}

/// One service as a fault sees it.
#[derive(Debug)]
pub(super) struct Role {
    pub(super) name: String,
    pub(super) replicas: Option<u32>,
    /// Where that number was written, or else the service's name.
    pub(super) written: Span,
    /// Whether a scenario may ask for another number.
    pub(super) can_grow: bool,
    pub(super) restarts: bool,
    /// What makes its pods, if that is known by name.
    pub(super) workload: Option<WorkloadKind>,
}

impl Reach {
    /// Names of all services.
    pub(super) fn names(&self) -> Option<Vec<String>> {
        let services = self.services.as_ref()?;
        Some(services.iter().map(|role| role.name.clone()).collect())
    }

    pub(super) fn role(&self, name: &str) -> Option<&Role> {
        self.services
            .as_ref()?
            .iter()
            .find(|role| role.name == name)
    }

    /// The name of a service, reported if there is none of that name.
    pub(super) fn service<'a>(
        &self,
        name: &'a Located<String>,
        problems: &mut Diagnostics,
    ) -> Option<&'a String> {
        if self.is_url {
            return name.get();
        }
        let known = self
            .services
            .as_ref()?
            .iter()
            .map(|role| role.name.as_str());
        names::position(name, (codes::UNKNOWN_SERVICE, "service"), known, problems)?;
        name.get()
    }
}

impl Role {
    /// How it would have more instances, if a scenario may ask for them.
    pub(super) fn growth(&self) -> Option<String> {
        self.can_grow
            .then(|| format!("raise `target.replicas.{}`", self.name))
    }
}

/// Resolves the `target:` of a scenario.
pub(super) fn resolve(
    target: &Located<scenario::Target>,
    library: &dyn Library,
    platform: PlatformName,
    problems: &mut Diagnostics,
) -> Reach {
    let Some(target) = target.get() else {
        return Reach::default();
    };
    if let Some(url) = target.url.given() {
        let replicas = target.replicas.given().map(|given| given.span);
        only_of_app(replicas, (codes::REPLICAS_OF_URL, "replicas"), problems);
        let env = target.env.given().map(|given| given.span);
        only_of_app(env, (codes::ENV_OF_URL, "env"), problems);
        let parts = target.parts.given().map(|given| given.span);
        only_of_app(parts, (codes::PARTS_OF_URL, "parts"), problems);
        return Reach {
            plan: running(target, url, problems).map(Target::Url),
            services: Some(Vec::new()),
            is_url: true,
            audit: Some(None),
        };
    }
    let http = target.http.given().map(|given| given.span);
    only_of_url(http, "http", problems);
    let insecure = target.insecure.given().map(|given| given.span);
    only_of_url(insecure, "insecure", problems);
    let Some(app) = target.app.given() else {
        return Reach::default();
    };
    let Some(name) = app.get() else {
        return Reach::default();
    };
    let Some(file) = library.target(name) else {
        let known = library.targets();
        let problem = codes::UNKNOWN_TARGET
            .at(app.span, format!("no target description {}", quote(name)))
            .label("neither a bundled target nor a file");
        problems.add(problem.choices(name, "bundled targets", known.iter().map(String::as_str)));
        return Reach::default();
    };
    describe(&file, platform, Some(target), problems)
}

/// A target that runs already, and how it is spoken to.
fn running(
    target: &scenario::Target,
    url: &Located<Text<Url>>,
    problems: &mut Diagnostics,
) -> Option<Running> {
    let running = Running {
        url: url.get()?.0.0.clone(),
        http: target.http.or(Text(HttpVersion::Auto))?.0,
        insecure: target.insecure.or(false)?,
    };
    if let Some(given) = target.insecure.given()
        && !running.is_https()
    {
        let problem = codes::INSECURE_WITHOUT_TLS.at(
            given.span,
            "an `http://` address has no certificate that could be left unchecked",
        );
        problems.add(problem.help("leave `insecure` out, or use an `https://` address"));
    }
    Some(running)
}

/// Refuses a setting that only a target that runs already can have.
fn only_of_url(given: Option<Span>, key: &str, problems: &mut Diagnostics) {
    if let Some(span) = given {
        let problem = codes::HTTP_OF_APP.at(
            span,
            format!("a target that chaos deploys has no `{key}` to set: it is spoken to in clear HTTP/1.1"),
        );
        problems.add(problem.help(format!(
            "leave `{key}` out, or use `url:` for a target that runs already"
        )));
    }
}

/// Refuses a setting that only a target deployed by chaos can have.
fn only_of_app(given: Option<Span>, (code, key): (Code, &str), problems: &mut Diagnostics) {
    if let Some(span) = given {
        let problem = code.at(
            span,
            format!("a target that runs already has no `{key}` to set"),
        );
        problems.add(problem.help(format!(
            "leave `{key}` out, or use `app:` so that chaos deploys the target"
        )));
    }
}

/// Checks a description; `asked` is what the scenario wants of its services.
pub(super) fn describe(
    file: &SourceFile,
    platform: PlatformName,
    asked: Option<&scenario::Target>,
    problems: &mut Diagnostics,
) -> Reach {
    let (_, target) = file::read::<form::Target>(file, problems);
    let Some(target) = target else {
        return Reach::default();
    };
    names::version(&target.version, problems);
    let name = names::name(&target.name, "the target", problems);
    let Some(services) = target.services.get() else {
        return Reach::default();
    };
    let taken = parts::take(asked.map(|asked| &asked.parts), &target.parts, problems);
    let mut known = parts::known(services);
    let kind = (codes::UNKNOWN_SERVICE, "service");
    names::position(&target.entry, kind, known.iter().copied(), problems);
    let further = taken.and_then(Taken::services);
    known.extend(further.into_iter().flat_map(parts::known));
    let replicas = by_service(asked.map(|asked| &asked.replicas), &known, problems);
    let env = by_service(asked.map(|asked| &asked.env), &known, problems);
    let can_grow = cluster::is_started_here(&target, taken, platform);
    let mut plans = Some(Vec::new());
    let mut roles = Vec::new();
    for (name, service) in services
        .iter()
        .chain(further.into_iter().flat_map(Map::iter))
    {
        let Some(text) = names::name(name, "a service", problems) else {
            continue;
        };
        let asked = replicas.get(text).copied();
        let role = role((text, name.span), service, asked, can_grow);
        let more = (
            env.get(text).copied(),
            taken.and_then(|taken| taken.addition(text)),
        );
        let mut checker = Checker {
            known: &known,
            platform,
            problems,
        };
        let plan = service
            .get()
            .and_then(|service| checker.service(name, service, role.replicas, more));
        roles.push(role);
        plans = plans.zip(plan).map(|(mut plans, plan)| {
            plans.push(plan);
            plans
        });
    }
    parts::check(&target, (services, taken), platform, problems);
    let audit = audit::resolve(&target.audit, &known, problems);
    let cluster = cluster::of_target((&target, taken), asked, platform, problems);
    let plan = || {
        Some(Target::Deploy(Description {
            name: name?.to_owned(),
            folder: file.folder.clone(),
            entry: target.entry.get()?.clone(),
            parts: taken.map(|taken| taken.name.to_owned()),
            services: plans?,
            audit: audit.clone()?,
            kubernetes: cluster.clone()?,
        }))
    };
    Reach {
        plan: plan(),
        services: Some(roles),
        is_url: false,
        audit,
    }
}

/// A service as a fault sees it; `asked` is the number of instances that the scenario wants.
fn role(
    (name, place): (&str, Span),
    service: &Located<form::Service>,
    asked: Option<&Located<scenario::Replicas>>,
    can_grow: bool,
) -> Role {
    let given = service.get();
    let own = given.and_then(|service| service.replicas.given());
    let (replicas, written) = match asked.or(own) {
        Some(number) => (number.get().map(|number| number.0), number.span),
        None => (Some(form::REPLICAS), place),
    };
    let policy = given.and_then(|service| service.restart.get()?.policy.get().copied());
    Role {
        name: name.to_owned(),
        replicas,
        written,
        can_grow,
        restarts: policy != Some(RestartPolicy::Never),
        workload: given.and_then(workload),
    }
}

/// The kind of object that makes the pods of a service; a Deployment unless it says otherwise.
fn workload(service: &form::Service) -> Option<WorkloadKind> {
    let pods = service.kubernetes.given()?.get()?;
    match (pods.workload.given(), pods.selector.given()) {
        (Some(workload), _) => Some(workload.get()?.0.kind),
        (None, Some(_)) => None,
        (None, None) => Some(WorkloadKind::Deployment),
    }
}

/// What the scenario says of each service; names of services that do not exist are reported.
fn by_service<'a, T>(
    given: Option<&'a Optional<Map<T>>>,
    known: &[&str],
    problems: &mut Diagnostics,
) -> BTreeMap<&'a str, &'a Located<T>> {
    let mut by_service = BTreeMap::new();
    for (name, value) in given
        .and_then(Optional::get)
        .into_iter()
        .flat_map(Map::iter)
    {
        let position = names::position(
            name,
            (codes::UNKNOWN_SERVICE, "service"),
            known.iter().copied(),
            problems,
        );
        if let (Some(_), Some(name)) = (position, name.get()) {
            by_service.insert(name.as_str(), value);
        }
    }
    by_service
}
