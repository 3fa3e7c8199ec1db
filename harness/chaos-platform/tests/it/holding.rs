//! The contract of ending an instance in order: kept away, or restarted.

use chaos_platform::{Act, InstanceRef, Platform, PlatformError, Probe, Reverted, Seen, undo};

use crate::bench::Bench;
use crate::contract::{Up, act, gone, holds, names, over, story};
use crate::look::{life, until};
use crate::processes::reached;

fn hold(target: &InstanceRef) -> Act {
    Act::Hold {
        target: target.clone(),
    }
}

fn restart(target: &InstanceRef) -> Act {
    Act::Restart {
        target: target.clone(),
    }
}

fn back(target: &InstanceRef) -> Probe {
    Probe::Back {
        target: target.clone(),
    }
}

pub(crate) async fn a_held_instance_stays_away_until_it_is_released(builder: &Bench) {
    over(builder, async |up| {
        let Up {
            platform,
            watcher,
            deployment,
            ..
        } = up;
        let target = life(platform, "api-1").await;
        assert!(!holds(platform, &back(&target)).await, "it never left");
        let undo = act(platform, &hold(&target)).await;
        until("the proof that it is gone", async || {
            holds(platform, &gone(&target)).await
        })
        .await;
        // Its restart policy would have it back in no time: the other one answers alone, and goes on to.
        assert_eq!(reached(deployment, "api", 40).await, names(&["api-2"]));
        let asked = |seen: &Seen| matches!(seen, Seen::Exited { asked: true, .. });
        watcher.wait("api-1", asked).await;
        assert!(!holds(platform, &back(&target)).await);
        assert!(!story(&watcher.so_far(), "api-1").contains(&"started"));

        // Whoever reads the undo without the platform can only say that the holder is gone.
        let elsewhere = undo::revert(&undo).await;
        assert!(matches!(elsewhere, Reverted::Clean { .. }), "{elsewhere:?}");
        let foreign = undo::Undo {
            mark: "another run".to_owned(),
            ..undo.clone()
        };
        platform.undo(&foreign).await;
        assert!(!holds(platform, &back(&target)).await);

        let restored = platform.undo(&undo).await;
        assert!(
            matches!(restored, Reverted::Restored { .. }),
            "{restored:?}"
        );
        until("the proof that it is back", async || {
            holds(platform, &back(&target)).await
        })
        .await;
        assert!(
            holds(platform, &gone(&target)).await,
            "that life stays gone"
        );
        let both = names(&["api-1", "api-2"]);
        assert_eq!(reached(deployment, "api", 8).await, both);
        let again = platform.undo(&undo).await;
        assert!(
            matches!(again, Reverted::Clean { .. }),
            "undone twice is undone once"
        );
        let stale = platform.apply(&hold(&target)).await;
        assert!(
            matches!(stale, Err(PlatformError::Missing { .. })),
            "{stale:?}"
        );
    })
    .await;
}

pub(crate) async fn a_restarted_instance_is_back_before_the_act_is_done(builder: &Bench) {
    over(builder, async |up| {
        let Up {
            platform,
            watcher,
            deployment,
            ..
        } = up;
        let target = life(platform, "api-2").await;
        watcher.so_far();
        let undo = act(platform, &restart(&target)).await;
        assert!(holds(platform, &gone(&target)).await);
        assert!(holds(platform, &back(&target)).await);
        let both = names(&["api-1", "api-2"]);
        assert_eq!(reached(deployment, "api", 8).await, both);
        let seen = watcher.so_far();
        let mut story = story(&seen, "api-2");
        // It may have been seen not ready before it was gone.
        story.retain(|word| *word != "unready");
        assert_eq!(story, ["ended", "started", "ready"]);
        let of_others = seen
            .iter()
            .find(|observation| observation.instance != "api-2");
        assert_eq!(of_others, None, "nothing happens to others");
        assert!(matches!(platform.undo(&undo).await, Reverted::Clean { .. }));
        let stale = platform.apply(&restart(&target)).await;
        assert!(
            matches!(stale, Err(PlatformError::Missing { .. })),
            "{stale:?}"
        );
    })
    .await;
}

pub(crate) async fn a_restart_while_another_is_away_is_refused(builder: &Bench) {
    over(builder, async |up| {
        let Up { platform, .. } = up;
        let away = life(platform, "api-1").await;
        let undo = act(platform, &hold(&away)).await;
        until("the proof that it is gone", async || {
            holds(platform, &gone(&away)).await
        })
        .await;
        let other = life(platform, "api-2").await;
        let refused = platform.apply(&restart(&other)).await;
        let text = refused.expect_err("two would be away").to_string();
        assert!(
            text.contains("`api-1` of the same service is not ready"),
            "{text}"
        );
        assert!(!holds(platform, &gone(&other)).await);
        platform.undo(&undo).await;
        until("the proof that it is back", async || {
            holds(platform, &back(&away)).await
        })
        .await;
    })
    .await;
}
