//! What every platform keeps, whatever it runs on: one suite, and a bench for each platform.
//!
//! The target is two services with two instances each: `front`, which shoppers reach, and `api`. Each
//! test takes a target that is up and leaves it so, with lives that may be later ones: where a deploy is
//! dear, one is enough for all of them.

use std::collections::BTreeSet;

use chaos_platform::{
    Act, Deployment, InstanceRef, InstanceState, Observation, Platform, PlatformError, Probe,
    Reverted, Seen, undo,
};

use crate::look::{Watcher, life, until};

/// Makes a platform over the target, and reads from the world what is left of it.
pub(crate) trait Builder {
    type Built: Platform;

    async fn build(&self) -> Self::Built;

    /// Processes, folders and the like, found without the platform.
    async fn left(&self) -> Vec<String>;

    /// Ends an instance at once.
    fn kill(&self, target: &InstanceRef) -> Act;

    /// What lasts until it is undone.
    fn lasting(&self, target: &InstanceRef) -> Lasting;

    /// All that can be done to an instance.
    fn acts(&self, target: &InstanceRef) -> Vec<Act>;

    /// Instances of `service` that answer to `count` requests in a row, each of which must succeed;
    /// `None` where answers do not tell who gave them.
    async fn reached(
        &self,
        deployment: &Deployment,
        service: &str,
        count: usize,
    ) -> Option<BTreeSet<String>>;
}

/// An act, and the questions that show its effect and its end.
pub(crate) struct Lasting {
    pub(crate) act: Act,
    pub(crate) effect: Probe,
    pub(crate) undone: Probe,
}

/// A target that is up.
pub(crate) struct Up<'a, B: Builder> {
    pub(crate) builder: &'a B,
    pub(crate) platform: B::Built,
    pub(crate) watcher: Watcher,
    pub(crate) deployment: Deployment,
}

impl<B: Builder> Up<'_, B> {
    async fn assert_reached(&self, service: &str, expected: &[&str]) {
        let reached = self.builder.reached(&self.deployment, service, 8).await;
        assert!(
            reached
                .as_ref()
                .is_none_or(|reached| *reached == names(expected)),
            "{service}: {reached:?}"
        );
    }

    async fn until_holds(&self, what: &str, probe: &Probe) {
        until(what, async || holds(&self.platform, probe).await).await;
    }
}

pub(crate) const NAMES: [&str; 4] = ["front-1", "front-2", "api-1", "api-2"];

/// Runs `body` over a deployed target, then takes it down, looks for anything left, and sees that nothing
/// comes back.
pub(crate) async fn over<B: Builder>(builder: &B, body: impl AsyncFnOnce(&mut Up<'_, B>)) {
    let mut platform = builder.build().await;
    let watcher = Watcher::of(&mut platform);
    assert!(
        platform.observe().is_none(),
        "only the first caller observes"
    );
    assert!(unable(&platform.restart_all().await), "nothing is deployed");
    let deployment = platform.deploy().await.expect("a deployment");
    let mut up = Up {
        builder,
        platform,
        watcher,
        deployment,
    };
    body(&mut up).await;
    let mut platform = up.platform;
    for _ in 0..2 {
        assert_eq!(platform.teardown().await, Vec::<String>::new());
        assert_eq!(builder.left().await, Vec::<String>::new());
    }
    assert!(unable(&platform.restart_all().await), "it is over");
    assert!(platform.deploy().await.is_err(), "and nothing comes back");
    assert_eq!(builder.left().await, Vec::<String>::new());
}

fn unable(result: &Result<(), PlatformError>) -> bool {
    matches!(result, Err(PlatformError::Unable { .. }))
}

/// Prepares, then applies, as a conductor does.
pub(crate) async fn act(platform: &impl Platform, act: &Act) -> undo::Undo {
    let undo = platform.prepare(act).await.expect("an undo");
    let at_ns = platform.apply(act).await.expect("it is done");
    assert!(at_ns > 0);
    undo
}

pub(crate) async fn holds(platform: &impl Platform, probe: &Probe) -> bool {
    platform.probe(probe).await.expect("a reading").holds
}

pub(crate) fn gone(target: &InstanceRef) -> Probe {
    Probe::Gone {
        target: target.clone(),
    }
}

pub(crate) fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

/// What was seen of an instance, in a word each.
pub(crate) fn story(seen: &[Observation], instance: &str) -> Vec<&'static str> {
    let of = seen
        .iter()
        .filter(|observation| observation.instance == instance);
    of.map(|observation| match observation.seen {
        Seen::Started { .. } => "started",
        Seen::Ready => "ready",
        Seen::Unready { .. } => "unready",
        Seen::Exited { asked: true, .. } => "ended",
        Seen::Exited { asked: false, .. } => "exited",
        Seen::Restarting { .. } => "restarting",
        Seen::Down => "down",
        Seen::PlatformLost { .. } => "lost",
    })
    .collect()
}

/// Waits for the next life of an instance after `life`, until it is ready.
async fn until_back(watcher: &mut Watcher, life: &InstanceRef) {
    let next = life.incarnation + 1;
    let begins =
        |seen: &Seen| matches!(seen, Seen::Started { incarnation, .. } if *incarnation == next);
    watcher.wait(&life.instance, begins).await;
    watcher
        .wait(&life.instance, |seen| *seen == Seen::Ready)
        .await;
}

/// To be called first: what was seen until then is judged.
pub(crate) async fn deploy_makes_every_instance_ready<B: Builder>(up: &mut Up<'_, B>) {
    let instances = up.platform.instances().await.expect("readable");
    let found: Vec<&str> = instances
        .iter()
        .map(|state| state.target.instance.as_str())
        .collect();
    assert_eq!(found, NAMES);
    assert!(
        instances
            .iter()
            .all(|state| state.ready && state.target.incarnation == 1)
    );
    up.assert_reached("front", &["front-1", "front-2"]).await;
    up.assert_reached("api", &["api-1", "api-2"]).await;
    let seen = up.watcher.so_far();
    for name in NAMES {
        assert_eq!(story(&seen, name), ["started", "ready"], "{name}");
    }
}

pub(crate) async fn prepare_changes_nothing<B: Builder>(up: &mut Up<'_, B>) {
    up.watcher.so_far();
    let before: Vec<InstanceState> = up.platform.instances().await.expect("readable");
    for state in &before {
        for act in up.builder.acts(&state.target) {
            up.platform.prepare(&act).await.expect("an undo");
        }
        let lasting = up.builder.lasting(&state.target);
        assert!(!holds(&up.platform, &lasting.effect).await);
        assert!(!holds(&up.platform, &gone(&state.target)).await);
    }
    assert_eq!(up.platform.instances().await.expect("readable"), before);
    assert_eq!(up.watcher.so_far(), []);
}

pub(crate) async fn a_killed_instance_is_gone_and_comes_back<B: Builder>(up: &mut Up<'_, B>) {
    let first = life(&up.platform, "api-1").await;
    assert!(!holds(&up.platform, &gone(&first)).await);
    let kill = up.builder.kill(&first);
    let undo = up.platform.prepare(&kill).await.expect("an undo");
    let at_ns = up.platform.apply(&kill).await.expect("it is done");
    up.until_holds("the proof that it is gone", &gone(&first))
        .await;
    let ends = |seen: &Seen| matches!(seen, Seen::Exited { asked: false, .. });
    let exited = up.watcher.wait("api-1", ends).await;
    assert!(at_ns <= exited.at_ns, "{at_ns} {exited:?}");
    up.builder.reached(&up.deployment, "api", 20).await;

    until_back(&mut up.watcher, &first).await;
    up.assert_reached("api", &["api-1", "api-2"]).await;
    let second = life(&up.platform, "api-1").await;
    assert_eq!(second.incarnation, first.incarnation + 1);
    let back = Probe::Back {
        target: first.clone(),
    };
    assert!(holds(&up.platform, &back).await);
    assert!(
        holds(&up.platform, &gone(&first)).await,
        "that life stays gone"
    );
    let undone = up.platform.undo(&undo).await;
    assert!(matches!(undone, Reverted::Clean { .. }), "{undone:?}");
}

pub(crate) async fn what_lasts_holds_until_it_is_undone<B: Builder>(up: &mut Up<'_, B>) {
    let target = life(&up.platform, "api-1").await;
    let other = up.builder.lasting(&life(&up.platform, "api-2").await);
    let Lasting {
        act: lasting,
        effect,
        undone,
    } = up.builder.lasting(&target);
    assert!(!holds(&up.platform, &effect).await);
    assert!(holds(&up.platform, &undone).await);
    let undo = act(&up.platform, &lasting).await;
    up.until_holds("the proof of its effect", &effect).await;
    assert!(!holds(&up.platform, &undone).await);
    assert!(!holds(&up.platform, &gone(&target)).await);
    assert!(!holds(&up.platform, &other.effect).await, "nor on another");

    let how = up.platform.undo(&undo).await;
    assert!(matches!(how, Reverted::Restored { .. }), "{how:?}");
    up.until_holds("the proof that it is undone", &undone).await;
    assert!(!holds(&up.platform, &effect).await);
    let again = up.platform.undo(&undo).await;
    assert!(
        matches!(again, Reverted::Clean { .. }),
        "undone twice is undone once: {again:?}"
    );
    assert_eq!(
        life(&up.platform, "api-1").await,
        target,
        "the same life throughout"
    );
    up.assert_reached("api", &["api-1", "api-2"]).await;
}

/// The undo is data: another process reads it back and reverts it without the platform.
pub(crate) async fn an_undo_works_without_the_platform_that_acted<B: Builder>(up: &mut Up<'_, B>) {
    let target = life(&up.platform, "front-2").await;
    let Lasting {
        act: lasting,
        effect,
        undone,
    } = up.builder.lasting(&target);
    let undo = act(&up.platform, &lasting).await;
    up.until_holds("the proof of its effect", &effect).await;
    let text = serde_json::to_string(&undo).expect("json");
    let read: undo::Undo = serde_json::from_str(&text).expect("an undo");
    let how = undo::revert(&read).await;
    assert!(matches!(how, Reverted::Restored { .. }), "{how:?}");
    up.until_holds("the proof that it is undone", &undone).await;

    let foreign = undo::Undo {
        mark: "another run".to_owned(),
        ..read.clone()
    };
    let undo = act(&up.platform, &lasting).await;
    up.until_holds("the proof of its effect", &effect).await;
    let how = undo::revert(&foreign).await;
    assert!(matches!(how, Reverted::Foreign { .. }), "{how:?}");
    assert!(
        holds(&up.platform, &effect).await,
        "what bears another mark is left as it is"
    );
    let newer = undo::Undo {
        version: undo::VERSION + 1,
        ..read
    };
    let how = undo::revert(&newer).await;
    assert!(matches!(how, Reverted::Failed { .. }), "{how:?}");
    assert!(up.platform.undo(&undo).await.is_clean());
    up.until_holds("the proof that it is undone", &undone).await;
}

pub(crate) async fn an_undo_after_the_target_is_gone_is_clean<B: Builder>(up: &mut Up<'_, B>) {
    let target = life(&up.platform, "api-2").await;
    let Lasting {
        act: lasting,
        effect,
        undone,
    } = up.builder.lasting(&target);
    let undo = act(&up.platform, &lasting).await;
    up.until_holds("the proof of its effect", &effect).await;
    act(&up.platform, &up.builder.kill(&target)).await;
    up.until_holds("the proof that it is gone", &gone(&target))
        .await;
    assert!(
        holds(&up.platform, &undone).await,
        "nothing lasts on what is gone"
    );
    assert!(!holds(&up.platform, &effect).await);
    let how = up.platform.undo(&undo).await;
    assert!(matches!(how, Reverted::Clean { .. }), "{how:?}");
    until_back(&mut up.watcher, &target).await;
}

pub(crate) async fn an_act_on_a_life_that_is_over_is_refused<B: Builder>(up: &mut Up<'_, B>) {
    let first = life(&up.platform, "api-1").await;
    act(&up.platform, &up.builder.kill(&first)).await;
    until_back(&mut up.watcher, &first).await;
    let before = up.platform.instances().await.expect("readable");
    let unborn = InstanceRef {
        incarnation: first.incarnation + 2,
        ..first.clone()
    };
    let unknown = InstanceRef {
        instance: "api-9".to_owned(),
        ..first.clone()
    };
    for stale in [&first, &unborn, &unknown] {
        let refused = up.platform.apply(&up.builder.kill(stale)).await;
        assert!(
            matches!(refused, Err(PlatformError::Missing { .. })),
            "{refused:?}"
        );
        for act in up.builder.acts(stale) {
            let refused = up.platform.prepare(&act).await;
            assert!(
                matches!(refused, Err(PlatformError::Missing { .. })),
                "{refused:?}"
            );
            assert!(up.platform.apply(&act).await.is_err(), "{act:?}");
        }
    }
    for unknown in [unborn, unknown] {
        assert!(
            up.platform.probe(&gone(&unknown)).await.is_err(),
            "nothing is known of it"
        );
    }
    let second = life(&up.platform, "api-1").await;
    assert!(!holds(&up.platform, &gone(&second)).await);
    assert!(!holds(&up.platform, &up.builder.lasting(&second).effect).await);
    assert_eq!(up.platform.instances().await.expect("readable"), before);
}

pub(crate) async fn a_restart_of_all_replaces_every_life<B: Builder>(up: &mut Up<'_, B>) {
    let before = up.platform.instances().await.expect("readable");
    up.platform.restart_all().await.expect("a restart");
    until("all are ready again", async || {
        let after = up.platform.instances().await.expect("readable");
        after.len() == before.len() && after.iter().all(|state| state.ready)
    })
    .await;
    for old in before {
        up.until_holds("the former life is gone", &gone(&old.target))
            .await;
    }
    for new in up.platform.instances().await.expect("readable") {
        assert!(!holds(&up.platform, &gone(&new.target)).await, "{new:?}");
    }
}

pub(crate) async fn teardown_works_when_a_deploy_was_given_up(builder: &impl Builder) {
    let mut platform = builder.build().await;
    let mut watcher = Watcher::of(&mut platform);
    {
        let deploy = platform.deploy();
        let first = watcher.wait("api-2", |seen| matches!(seen, Seen::Started { .. }));
        tokio::pin!(deploy, first);
        tokio::select! {
            _ = &mut first => {}
            _ = &mut deploy => unreachable!("it is ready before it is seen to start"),
        }
    }
    assert_eq!(platform.teardown().await, Vec::<String>::new());
    assert_eq!(builder.left().await, Vec::<String>::new());
}
