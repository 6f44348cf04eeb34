//! What happens on hosts and on the links to them.

use super::event::{Event, HostIx};
use super::link::arrivals;
use super::world::{World, is_service};
use crate::agent::{AgentConfig, Command, Fault, HostAgent, Input, Outcome, Work};
use crate::time::{Millis, Timestamp};

/// Reports go on change, gathered so long.
const GATHER: Millis = Millis(10);

/// And again after so long while host and scheduler do not agree. Those in between would say the same as the last.
const INTERVAL: Millis = Millis(5_000);

const AGENT: AgentConfig = AgentConfig {
    launches: 4,
    default_grace: Millis::from_secs(10),
    kill_again: Millis::from_secs(2),
    undo_again: Millis::from_secs(1),
    retry_max: Millis::from_secs(10),
    undo_tries: 3,
    keep_logs: Millis::from_secs(60),
    keep_logs_of: 20,
};

impl World {
    /// Draws when the host, its agent and its link fail for the first time.
    pub(super) fn plan_troubles(&mut self, host: HostIx) {
        let faults = self.config.faults;
        self.plan_trouble(faults.agent_crash, Event::AgentCrash { host });
        self.plan_trouble(faults.host_crash, Event::HostCrash { host });
        self.plan_trouble(faults.partition, Event::Partition { host, cut: true });
    }

    fn plan_trouble(&mut self, mean: Millis, event: Event) {
        if mean > Millis::ZERO {
            let wait = Millis(1 + self.rng.hosts.below(mean.0 * 2));
            self.agenda.at(self.now + wait, event);
        }
    }

    pub(super) fn start_agent(&mut self, host: HostIx, boot: u64) {
        let it = &mut self.hosts[host];
        if !it.up || it.boot != boot || it.agent.is_some() {
            return;
        }
        let (found, commands) = it.start_agent(AGENT, self.now);
        self.store.counts.adopted += found as u64;
        self.changed(host, commands);
    }

    pub(super) fn crash_agent(&mut self, host: HostIx) {
        if self.is_quiet() {
            return;
        }
        self.plan_trouble(self.config.faults.agent_crash, Event::AgentCrash { host });
        let it = &mut self.hosts[host];
        if it.agent.is_none() {
            return;
        }
        it.stop_agent();
        let boot = it.boot;
        self.store.counts.agent_crashes += 1;
        let wait = if self.rng.hosts.chance(1, 4) {
            120_000
        } else {
            2_000
        };
        let back = self.now + Millis(self.rng.hosts.below(wait));
        self.agenda.at(back, Event::AgentStart { host, boot });
    }

    pub(super) fn crash_host(&mut self, host: HostIx) {
        if self.is_quiet() {
            return;
        }
        self.plan_trouble(self.config.faults.host_crash, Event::HostCrash { host });
        if !self.hosts[host].up {
            return;
        }
        self.hosts[host].crash();
        self.store.counts.host_crashes += 1;
        if self.rng.hosts.chance(1, 3) {
            self.hosts[host].wipe();
            self.ledger.wiped(self.hosts[host].spec.id, &self.store);
        }
        if self.gone.is_none() && self.rng.hosts.chance(1, 8) {
            self.gone = Some(host);
            return;
        }
        let back = self.now + Millis(self.rng.hosts.below(240_000));
        self.agenda.at(back, Event::HostBoot { host });
    }

    pub(super) fn boot_host(&mut self, host: HostIx) {
        self.hosts[host].up = true;
        let boot = self.hosts[host].boot;
        self.agenda
            .at(self.now + Millis(1_000), Event::AgentStart { host, boot });
    }

    pub(super) fn partition(&mut self, host: HostIx, cut: bool) {
        if cut && self.is_quiet() {
            return;
        }
        self.hosts[host].cut = cut;
        if cut {
            let wait = if self.rng.hosts.chance(1, 3) {
                200_000
            } else {
                20_000
            };
            let healed = self.now + Millis(self.rng.hosts.below(wait));
            self.agenda.at(healed, Event::Partition { host, cut: false });
        } else {
            self.plan_trouble(self.config.faults.partition, Event::Partition { host, cut: true });
            self.want_send(host, self.now + INTERVAL);
        }
    }

    /// Gives the machine of one agent life an input, and starts what it asks for.
    pub(super) fn tell(&mut self, host: HostIx, session: u64, input: Input) {
        let it = &mut self.hosts[host];
        let Some(agent) = it.agent.as_mut().filter(|_| it.session == session) else {
            return;
        };
        let idle = input == Input::Tick;
        let refused = agent.stats().refused_directives;
        let commands = agent.handle(input, self.now);
        self.store.counts.directives_refused += agent.stats().refused_directives - refused;
        if idle && commands.is_empty() {
            return self.set_timer(host);
        }
        self.changed(host, commands);
    }

    pub(super) fn timer(&mut self, host: HostIx, session: u64) {
        if self.hosts[host].session == session && self.hosts[host].timer_at == Some(self.now) {
            self.hosts[host].timer_at = None;
            self.tell(host, session, Input::Tick);
        }
    }

    fn set_timer(&mut self, host: HostIx) {
        let it = &mut self.hosts[host];
        let session = it.session;
        let due = it
            .agent
            .as_ref()
            .and_then(HostAgent::next_timer)
            .map(|due| due.max(self.now));
        if let Some(due) = due.filter(|due| it.timer_at.is_none_or(|at| at > *due)) {
            it.timer_at = Some(due);
            self.agenda.at(due, Event::Timer { host, session });
        }
    }

    fn changed(&mut self, host: HostIx, commands: Vec<Command>) {
        self.hosts[host].revision += 1;
        let session = self.hosts[host].session;
        self.set_timer(host);
        for command in commands {
            self.begin(host, session, command);
        }
        self.want_send(host, self.now + GATHER);
    }

    fn begin(&mut self, host: HostIx, session: u64, command: Command) {
        if command.work == Work::Cancel {
            return;
        }
        let faults = self.faults();
        let usual = if matches!(command.work, Work::FetchImage { .. }) {
            2_000
        } else {
            30
        };
        let longest = if self.rng.hosts.chance(faults.slow, 1_000) {
            60_000
        } else {
            usual
        };
        let when = self.now + Millis(1 + self.rng.hosts.below(longest));
        let command = Box::new(command);
        self.agenda.at(
            when,
            Event::Effect {
                host,
                session,
                command,
            },
        );
    }

    pub(super) fn effect(&mut self, host: HostIx, session: u64, command: Command) {
        if self.hosts[host].session != session {
            return;
        }
        let fails = self.rng.faults.chance(self.faults().failing, 1_000);
        let without_effect = fails && self.rng.faults.chance(1, 2);
        let (task, step) = (command.task, command.work.step());
        let mut outcome = Outcome::Done;
        if !without_effect {
            outcome = self.perform(host, &command);
        }
        if fails {
            self.store.counts.commands_failed += 1;
            let fault = if self.rng.faults.chance(1, 2) {
                Fault::Transient
            } else {
                Fault::Host
            };
            outcome = Outcome::Failed {
                fault,
                message: "injected".into(),
            };
        }
        let when = self.now + Millis(self.rng.hosts.below(5));
        self.agenda.at(
            when,
            Event::Answer {
                host,
                session,
                task,
                step,
                outcome,
            },
        );
    }

    fn perform(&mut self, host: HostIx, command: &Command) -> Outcome {
        let quiet = self.is_quiet();
        let (programs, store) = (&self.programs, &self.store);
        let program_of = |job| {
            let program = programs.get(&job).copied().unwrap_or_default();
            let service = store.job(job).is_some_and(|j| is_service(j));
            if quiet { program.calmed(service) } else { program }
        };
        let it = &mut self.hosts[host];
        let (outcome, effect) = it.perform(command, program_of, self.now, &mut self.rng.hosts);
        let (boot, name) = (it.boot, it.spec.id);
        if let Some(wired) = effect.started {
            self.ledger.started(command.task, name, wired, &self.store);
        }
        if matches!(command.work, Work::Signal(_)) {
            self.ledger.signalled(command.task, &self.store);
        }
        if let Some((after, exit)) = effect.exits {
            let task = command.task;
            self.agenda.at(
                self.now + after,
                Event::Exit {
                    host,
                    boot,
                    task,
                    exit,
                },
            );
        }
        outcome
    }

    /// Has the agent report at `when`, unless it does so before.
    pub(super) fn want_send(&mut self, host: HostIx, when: Timestamp) {
        let it = &mut self.hosts[host];
        if it.agent.is_some() && it.send_at.is_none_or(|at| at > when) {
            it.send_at = Some(when);
            let session = it.session;
            self.agenda.at(when, Event::Send { host, session });
        }
    }

    pub(super) fn send(&mut self, host: HostIx, session: u64) {
        let it = &mut self.hosts[host];
        if it.session != session || it.send_at != Some(self.now) {
            return;
        }
        it.send_at = None;
        let Some(report) = it.agent.as_ref().map(HostAgent::report) else {
            return;
        };
        let revision = it.revision;
        if !self.agrees(host) {
            self.want_send(host, self.now + INTERVAL);
        }
        for after in self.carry(host) {
            let report = Box::new(report.clone());
            self.agenda.at(
                self.now + after,
                Event::Report {
                    host,
                    session,
                    revision,
                    report,
                },
            );
        }
    }

    /// True when the scheduler has applied the newest report and the agent the newest directive.
    pub(super) fn agrees(&self, host: HostIx) -> bool {
        let it = &self.hosts[host];
        let wanted = self.store.host(it.spec.id).map(|h| h.desired.generation);
        let acts_on = it.agent.as_ref().map(HostAgent::generation);
        it.acked >= it.revision && it.linked == it.session && wanted.is_some() && wanted == acts_on
    }

    fn carry(&mut self, host: HostIx) -> Vec<Millis> {
        let copies = if self.hosts[host].cut {
            Vec::new()
        } else {
            arrivals(&self.faults(), &mut self.rng.links)
        };
        self.store.counts.messages_lost += u64::from(copies.is_empty());
        copies
    }

    /// Sends a host its directive.
    pub(super) fn direct(&mut self, host: HostIx) {
        let (session, name) = (self.hosts[host].linked, self.hosts[host].spec.id);
        let Some(mut directive) = self.store.directive(name).filter(|_| session > 0) else {
            return;
        };
        if self.rng.faults.chance(self.faults().lacking, 1_000) && directive.specs.pop_first().is_some() {
            self.store.counts.texts_lacking += 1;
        }
        for after in self.carry(host) {
            let directive = Box::new(directive.clone());
            self.agenda.at(
                self.now + after,
                Event::Directive {
                    host,
                    session,
                    directive,
                },
            );
        }
        self.want_send(host, self.now + INTERVAL);
    }
}
