//! From flags to the cluster of a run: context, namespace and manifests.
//!
//! Invariant: what is missing or cannot be read is refused before anything is asked or touched.

use chaos_plan::Plan;
use chaos_plan::plan::{Description, PlatformName, Target, is_object_name};
use chaos_platform::kubernetes::{self, Chosen, Image, Janitor, MANIFEST_BYTES_MAX, Manifests};
use chaos_record::exit;
use chaos_run::conductor::Cluster;

use crate::cli::Platform;
use crate::cli::cluster::{ClusterArgs, PullPolicy, RbacArgs};
use crate::library;
use crate::output::{Failure, Output};

/// Where a plan for Kubernetes runs; `None` for a plan that runs elsewhere.
pub(super) fn of(plan: &Plan, args: &ClusterArgs) -> Result<Option<Cluster>, Failure> {
    let Target::Deploy(description) = &plan.target else {
        return Ok(None);
    };
    if plan.platform != PlatformName::Kubernetes {
        return refuse_flags(args).map(|()| None);
    }
    let cluster = description.kubernetes.as_ref();
    let context = args.context.clone().ok_or_else(|| {
        bad("which cluster? name a context of your kubeconfig with `--context NAME` (`kubectl config get-contexts` lists them)")
    })?;
    let written = || cluster.and_then(|cluster| cluster.namespace.clone());
    let namespace = args.namespace.clone().or_else(written).ok_or_else(|| {
        bad("which namespace? name it with `--namespace NAME`, or in the target description")
    })?;
    if !is_object_name(&namespace) {
        return Err(bad(&format!(
            "`{namespace}` cannot be a namespace: use small letters, digits and `-`, at most 63"
        )));
    }
    Ok(Some(Cluster {
        chosen: Chosen {
            kubeconfig: args.kubeconfig.clone(),
            context,
            namespace,
        },
        manifests: manifests(description, args)?,
        janitor: janitor(args),
    }))
}

fn janitor(args: &ClusterArgs) -> Option<Janitor> {
    (!args.no_janitor).then(|| Janitor {
        image: args.janitor_image.clone(),
        pull_policy: args
            .image_pull_policy
            .map(|policy| policy.name().to_owned()),
    })
}

/// Says where a run happens, before anything is asked there.
pub(super) fn tell(cluster: Option<&Cluster>, output: &Output) {
    let Some(Cluster {
        chosen, manifests, ..
    }) = cluster
    else {
        return;
    };
    let Chosen {
        context, namespace, ..
    } = chosen;
    let what = match manifests {
        Some(_) => "the target is applied and removed",
        None => "the target runs already and stays",
    };
    output.tell(&format!(
        "on Kubernetes: context {context}, namespace {namespace}; {what}"
    ));
}

/// Says who takes faults back if this machine dies, for a plan with faults that stay.
pub(super) fn tell_of_janitor(plan: &Plan, cluster: Option<&Cluster>, output: &Output) {
    let Some(Cluster {
        chosen, janitor, ..
    }) = cluster.filter(|_| kubernetes::has_faults_that_stay(plan))
    else {
        return;
    };
    let Chosen {
        context, namespace, ..
    } = chosen;
    let recover = format!("`chaos recover --context {context} --namespace {namespace}`");
    output.tell(&match janitor {
        Some(_) => format!(
            "a janitor in the namespace takes faults back if this machine dies; without it (`--no-janitor`) {recover} does"
        ),
        None => format!("no janitor: nothing takes faults back if this machine dies; {recover} does"),
    });
}

/// `chaos rbac`: the Role, on standard output.
pub(super) fn rbac(args: RbacArgs, output: &Output) -> Result<u8, Failure> {
    let mut scenario = args.scenario;
    scenario.platform = Some(Platform::Kubernetes);
    let plan = super::plan_of(&scenario, output)?;
    let cluster = ClusterArgs {
        // No cluster is asked, so any will do.
        context: Some(String::new()),
        namespace: args.namespace,
        manifests: args.manifests,
        existing: !args.deploy,
        no_janitor: args.no_janitor,
        ..ClusterArgs::default()
    };
    let Some(found) = of(&plan, &cluster)? else {
        return Err(bad("a target that is only an address needs no Role"));
    };
    let namespace = &found.chosen.namespace;
    let keeps = found.janitor.is_some();
    output.give(kubernetes::role(&plan, found.manifests.as_ref(), namespace, keeps).trim_end());
    Ok(exit::HELD.code)
}

fn bad(text: &str) -> Failure {
    Failure::new(exit::BAD_INPUT, format!("error: {text}"))
}

/// A flag that would mean nothing is a mistake.
fn refuse_flags(args: &ClusterArgs) -> Result<(), Failure> {
    let given = [
        ("--namespace", args.namespace.is_some()),
        ("--kubeconfig", args.kubeconfig.is_some()),
        ("--manifests", args.manifests.is_some()),
        ("--existing", args.existing),
        ("--image", !args.images.is_empty()),
        ("--image-pull-policy", args.image_pull_policy.is_some()),
        ("--janitor-image", args.janitor_image.is_some()),
        ("--no-janitor", args.no_janitor),
    ];
    match given.iter().find(|(_, is_given)| *is_given) {
        None => Ok(()),
        Some((flag, _)) => Err(bad(&format!(
            "`{flag}` goes with `--platform kubernetes`; leave it out, or add that"
        ))),
    }
}

fn manifests(description: &Description, args: &ClusterArgs) -> Result<Option<Manifests>, Failure> {
    let cluster = description.kubernetes.as_ref();
    let written = cluster.and_then(|cluster| cluster.manifests.as_ref());
    let (name, text) = match (&args.manifests, written) {
        _ if args.existing => return Ok(None),
        (Some(path), _) => (
            path.display().to_string(),
            library::text(path, MANIFEST_BYTES_MAX)?,
        ),
        (None, Some(name)) => (name.clone(), library::manifests(&description.folder, name)?),
        (None, None) => return Ok(None),
    };
    let images: Vec<Image> = args
        .images
        .iter()
        .map(|(name, reference)| Image {
            name: name.clone(),
            reference: reference.clone(),
        })
        .collect();
    let policy = args.image_pull_policy.map(PullPolicy::name);
    let read = Manifests::read(&text);
    let fitted = read.and_then(|read| read.with_images(&images, policy, description));
    fitted
        .map(Some)
        .map_err(|error| bad(&format!("failed to {error} (`{name}`)")))
}
