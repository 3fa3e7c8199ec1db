//! The conductor's part of the load: start, what the engine says, stages, limits and recoveries.

use std::sync::Arc;
use std::time::Duration;

use chaos_load::clock::{length_ns, now_ns};
use chaos_load::{Address, Engine, EngineConfig, EngineEvent};
use chaos_plan::plan::Moment;
use chaos_record::event::Event;

use super::Conductor;
use crate::state::{Action, Input, Phase};
use crate::told::{HEAD_START, Told, load_stopped};

impl Conductor<'_> {
    /// Preparing every request, and a resolver that takes its time, are waited for beside the loop.
    pub(super) async fn start_load(&mut self) -> Vec<Action> {
        let start_ns = now_ns() + length_ns(HEAD_START);
        let (address, found) = (self.address.clone(), self.found.clone());
        let (plan, workers) = (Arc::clone(&self.plan), self.workers);
        let faults = Arc::clone(&self.fault_clock);
        let operations = self.operations_path();
        let start = tokio::task::spawn_blocking(move || {
            Engine::start(EngineConfig {
                plan,
                address: found.map_or_else(|| Address::resolve(&address), Ok)?,
                workers,
                start_ns,
                faults,
                operations,
            })
        });
        match Box::pin(self.meanwhile(start)).await {
            Ok(Ok(engine)) => {
                self.load_started(engine, start_ns);
                Vec::new()
            }
            Ok(Err(error)) => self.load_refused(&error),
            Err(error) => self.load_refused(&error),
        }
    }

    fn load_started(&mut self, engine: Engine, start_ns: u64) {
        self.engine = Some(engine);
        self.load_start_ns = Some(start_ns);
        let workers = self.workers;
        self.event(self.run_ns(start_ns), Event::LoadStarted { workers });
        self.announce_keys();
        if self.stopping.is_cancelled() {
            // The wish to stop came before there was anything to be stopped.
            self.stop_load();
        }
    }

    fn load_refused(&mut self, error: &dyn std::fmt::Display) -> Vec<Action> {
        self.event_now(Event::EnvironmentFailed {
            what: format!("failed to start the load: {error}"),
        });
        self.state.next(&Input::LoadOver)
    }

    pub(super) fn stop_load(&mut self) {
        if let Some(engine) = &self.engine {
            engine.stop();
        }
    }

    pub(super) fn engine_said(&mut self, event: Option<EngineEvent>) -> Vec<Action> {
        match event.map(Told::from) {
            Some(Told::Delta(delta)) => {
                self.writer.delta(delta);
                Vec::new()
            }
            Some(Told::Health(look)) => {
                self.writer.health(look);
                Vec::new()
            }
            Some(Told::Event(event)) => {
                self.event_now(event);
                Vec::new()
            }
            Some(Told::Broken(event)) => {
                self.event_now(event);
                self.stop()
            }
            None => self.load_over(),
        }
    }

    fn load_over(&mut self) -> Vec<Action> {
        if let Some(engine) = self.engine.take() {
            // With what a search decided on, which the plan as given does not know.
            let stopped = load_stopped(&engine, &self.writer.record().header.plan);
            self.event_now(stopped);
        }
        self.state.next(&Input::LoadOver)
    }

    /// Stages, limits and waiting faults, while there is load.
    pub(super) fn watch_load(&mut self) -> Vec<Action> {
        let in_load = self.state.phase() == Phase::Load;
        let Some(load_ns) = self.load_ns().filter(|_| in_load) else {
            return Vec::new();
        };
        self.announce_stage(load_ns);
        self.search_on(load_ns);
        let mut actions = self.check_limits(load_ns);
        actions.extend(self.announce_recoveries(load_ns));
        actions.extend(self.state.next(&Input::Tick { load_ns }));
        self.writer.forget(load_ns);
        actions
    }

    fn announce_stage(&mut self, load_ns: u64) {
        let stage = self.plan.load.stage_at(Duration::from_nanos(load_ns));
        if stage.is_some() && stage != self.stage {
            self.stage = stage;
            if let (Some(stage), Some(start)) = (stage, self.load_start_ns) {
                let planned =
                    u64::try_from(self.plan.load.stages[stage].start.as_nanos()).unwrap_or(0);
                self.event(self.run_ns(start + planned), Event::StageStarted { stage });
            }
        }
    }

    fn check_limits(&mut self, load_ns: u64) -> Vec<Action> {
        // A run that stops already is not aborted again with each look.
        if self.stopping.is_cancelled() {
            return Vec::new();
        }
        match chaos_record::abort::should(self.writer.record(), load_ns) {
            Some(why) => {
                self.event_now(Event::Aborted { why });
                self.stop()
            }
            None => Vec::new(),
        }
    }

    /// Tells faults that wait for another one's recovery.
    fn announce_recoveries(&mut self, load_ns: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        for fault in 0..self.recovered.len() {
            if !self.recovered[fault]
                && chaos_record::live::recovered(
                    self.writer.record(),
                    &self.plan.faults[fault].name,
                )
                .is_some()
            {
                self.recovered[fault] = true;
                actions.extend(self.state.next(&Input::Reached {
                    fault,
                    moment: Moment::Recovered,
                    load_ns,
                }));
            }
        }
        actions
    }
}
