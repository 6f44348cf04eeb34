//! The best host for one more task of a job: the best of each class from the index, then the best of these.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use super::index::{
    ClassIx, Lanes, Scarce, WHOLE, balanced, covers, emptiness, greater, lanes, offered, unbalanced,
};
use super::policy::{Filter, Fitness, Reads, Score};
use super::score::{BALANCE, PACKING};
use super::{Ask, Candidate};
use crate::view::{ClusterView, HostIx, JobIx, ZoneIx};

/// What a search asks beside room.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) filters: Vec<Box<dyn Filter>>,
    pub(super) scores: Vec<Box<dyn Score>>,
}

impl Policy {
    /// True when no filter has anything to say about the job: then only room decides.
    pub(super) fn is_free(&self, ask: &Ask<'_>) -> bool {
        self.filters.iter().all(|filter| filter.reads(ask).is_none())
    }
}

/// The search for one job after the other. What it finds out about a class stays until a task is placed there.
#[derive(Debug, Default)]
pub(super) struct Search {
    job: Option<JobIx>,
    asked: Asked,
    classes: Vec<ClassState>,
}

impl Search {
    /// Forgets everything: the view may have changed.
    pub(super) const fn reset(&mut self) {
        self.job = None;
    }

    /// The best host for one more task of the job, or `None` when no host takes it.
    pub(super) fn best(&mut self, policy: &Policy, view: &mut ClusterView, job: JobIx) -> Option<HostIx> {
        if self.job != Some(job) {
            self.begin(&Look::new(policy, view, job)?);
            self.job = Some(job);
        }
        for state in self.classes.iter().filter(|state| state.best.is_none()) {
            view.index_mut().settle(state.class);
        }
        let look = Look::new(policy, view, job)?;
        let mut best: Option<Found> = None;
        for state in &mut self.classes {
            let found = look.best_of_class(&self.asked, state);
            best = look.better(best, found);
        }
        best.map(|found| found.host)
    }

    /// Notes that a task of the job at hand was placed.
    pub(super) fn placed(&mut self, policy: &Policy, view: &ClusterView, host: HostIx) {
        let Some(look) = self.job.and_then(|job| Look::new(policy, view, job)) else {
            return;
        };
        let class = view.host_row(host).class;
        let varies = self.asked.varies();
        for state in &mut self.classes {
            if class.is_none_or(|class| class == state.class) {
                state.best = look.still_best(&self.asked, state, host);
            }
            if varies {
                state.varying = look.varying(&self.asked, state.class);
            }
        }
    }

    fn begin(&mut self, look: &Look<'_>) {
        self.asked.sort_out(look);
        self.classes.clear();
        let scarce = look.view.scarce();
        let classes = look.view.index().classes();
        self.classes
            .extend(classes.filter_map(|class| look.class_state(&self.asked, class, scarce)));
    }
}

/// Which filters and scores have something to say about the job at hand.
#[derive(Debug, Default)]
struct Asked {
    filters: [Vec<usize>; 3],
    scores: [Vec<usize>; 3],
    /// What those scores give that have nothing to say.
    indifferent: Fitness,
    /// The most that the scores of single hosts give together.
    host_most: Fitness,
}

impl Asked {
    fn filters(&self, reads: Reads) -> &[usize] {
        &self.filters[reads as usize]
    }

    fn scores(&self, reads: Reads) -> &[usize] {
        &self.scores[reads as usize]
    }

    /// True when each of the job's placements may change what a class gives.
    fn varies(&self) -> bool {
        !self.filters(Reads::Job).is_empty() || !self.scores(Reads::Job).is_empty()
    }

    /// True when hosts of a class differ by more than room.
    fn looks_at_hosts(&self) -> bool {
        !self.filters(Reads::Host).is_empty() || !self.scores(Reads::Host).is_empty()
    }

    fn sort_out(&mut self, look: &Look<'_>) {
        self.filters.iter_mut().for_each(Vec::clear);
        self.scores.iter_mut().for_each(Vec::clear);
        self.indifferent = Fitness::default();
        self.host_most = Fitness::default();
        for (at, filter) in look.policy.filters.iter().enumerate() {
            if let Some(reads) = filter.reads(&look.ask) {
                self.filters[reads as usize].push(at);
            }
        }
        for (at, score) in look.policy.scores.iter().enumerate() {
            let reads = score.reads(&look.ask);
            match reads {
                None => self.indifferent += score.most(&look.ask),
                Some(Reads::Host) => self.host_most += score.most(&look.ask),
                Some(_) => {}
            }
            if let Some(reads) = reads {
                self.scores[reads as usize].push(at);
            }
        }
    }
}

/// What is known about a class for the job at hand.
#[derive(Debug)]
struct ClassState {
    class: ClassIx,
    /// What a host must have free, balance included.
    need: Lanes,
    /// By how much a placement lessens a host's emptiness.
    takes: i32,
    /// What scores of the class give.
    fixed: Fitness,
    /// What scores of the class and the job's tasks give; `None` where such a filter refuses.
    varying: Option<Fitness>,
    best: Option<Known>,
}

/// The best host of a class by what the others do not tell, once that is known.
#[derive(Debug, Clone, Copy)]
struct Known(Option<Found>);

#[derive(Debug, Clone, Copy)]
struct Found {
    fitness: Fitness,
    host: HostIx,
}

/// One look for a host.
struct Look<'v> {
    policy: &'v Policy,
    view: &'v ClusterView,
    ask: Ask<'v>,
}

impl<'v> Look<'v> {
    fn new(policy: &'v Policy, view: &'v ClusterView, job: JobIx) -> Option<Self> {
        let ask = Ask::new(view, job)?;
        Some(Self { policy, view, ask })
    }

    /// `None` for a class that a filter refuses.
    fn class_state(&self, asked: &Asked, class: ClassIx, scarce: Scarce) -> Option<ClassState> {
        let host = self.sample(class)?;
        if !self.passes(asked.filters(Reads::Class), &host) {
            return None;
        }
        let (resources, capacity) = (self.ask.resources(), self.view.index().capacity(class));
        let need = lanes(&resources, capacity);
        let need = if self.ask.rules().hard.exclusive_host {
            unbalanced(greater(&need, &offered(capacity, capacity)))
        } else {
            balanced(need, scarce)
        };
        Some(ClassState {
            class,
            need,
            takes: emptiness(&resources, capacity),
            fixed: asked.indifferent + self.sum(asked.scores(Reads::Class), &host),
            varying: self.varying(asked, class),
            best: None,
        })
    }

    fn varying(&self, asked: &Asked, class: ClassIx) -> Option<Fitness> {
        let host = self.sample(class)?;
        let allowed = self.passes(asked.filters(Reads::Job), &host);
        allowed.then(|| self.sum(asked.scores(Reads::Job), &host))
    }

    fn best_of_class(&self, asked: &Asked, state: &mut ClassState) -> Option<Found> {
        let varying = state.varying?;
        let Known(found) = match state.best {
            Some(known) => known,
            None => *state.best.insert(Known(self.search_class(asked, state))),
        };
        found.map(|found| Found {
            fitness: state.fixed + varying + found.fitness,
            ..found
        })
    }

    /// The best host of a class, now fuller by one task, still is the best while it has room: those that are fuller
    /// had no room before. `None` where only a search can tell.
    fn still_best(&self, asked: &Asked, state: &ClassState, host: HostIx) -> Option<Known> {
        let Known(found) = state.best?;
        let was_balanced = found.is_some_and(|found| found.host == host && found.fitness >= BALANCE);
        let offer = self.view.index().offer(host.number());
        let stays = was_balanced && !asked.looks_at_hosts() && covers(&offer.free, &state.need);
        stays.then(|| {
            Known(Some(Found {
                fitness: BALANCE + packing(offer.emptiness - state.takes),
                host,
            }))
        })
    }

    /// First among the hosts that stay balanced; among the others only where they could be better still.
    fn search_class(&self, asked: &Asked, state: &ClassState) -> Option<Found> {
        let best = self.search_members(asked, state, &state.need, BALANCE, None);
        if best.is_none_or(|found| PACKING + asked.host_most >= found.fitness) {
            self.search_members(asked, state, &unbalanced(state.need), Fitness::default(), best)
        } else {
            best
        }
    }

    /// The best of `best` and of the members that cover `need`, which all get the bonus.
    fn search_members(
        &self,
        asked: &Asked,
        state: &ClassState,
        need: &Lanes,
        bonus: Fitness,
        mut best: Option<Found>,
    ) -> Option<Found> {
        let index = self.view.index();
        let (filters, scores) = (asked.filters(Reads::Host), asked.scores(Reads::Host));
        index.walk(state.class, need, &mut |number| {
            let base = bonus + packing(index.offer(number).emptiness - state.takes);
            if best.is_some_and(|found| base + asked.host_most < found.fitness) {
                return ControlFlow::Break(());
            }
            let Some(host) = self.member(number) else {
                return ControlFlow::Continue(());
            };
            if !self.passes(filters, &host) {
                return ControlFlow::Continue(());
            }
            let found = Found {
                fitness: base + self.sum(scores, &host),
                host: host.ix(),
            };
            best = self.better(best, Some(found));
            if scores.is_empty() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        best
    }

    /// The fitter; where both are even the one in the emptier zone, and in one zone the first by name.
    fn better(&self, a: Option<Found>, b: Option<Found>) -> Option<Found> {
        let (Some(held), Some(new)) = (a, b) else {
            return a.or(b);
        };
        let order = new.fitness.cmp(&held.fitness).then_with(|| {
            let (held, new) = (self.view.host_row(held.host), self.view.host_row(new.host));
            let load = |zone: Option<ZoneIx>| zone.map_or(0, |zone| self.view.zone_row(zone).load());
            let by_load = if held.zone == new.zone {
                Ordering::Equal
            } else {
                load(held.zone).cmp(&load(new.zone))
            };
            by_load.then_with(|| held.id.cmp(&new.id))
        });
        Some(if order == Ordering::Greater { new } else { held })
    }

    fn passes(&self, filters: &[usize], host: &Candidate<'_>) -> bool {
        let passes = |at: &usize| self.policy.filters[*at].check(&self.ask, host).is_ok();
        filters.iter().all(passes)
    }

    fn sum(&self, scores: &[usize], host: &Candidate<'_>) -> Fitness {
        let scores = scores
            .iter()
            .map(|at| self.policy.scores[*at].score(&self.ask, host));
        scores.fold(Fitness::default(), |sum, score| sum + score)
    }

    fn sample(&self, class: ClassIx) -> Option<Candidate<'v>> {
        self.member(self.view.index().any_member(class)?)
    }

    fn member(&self, number: u32) -> Option<Candidate<'v>> {
        Candidate::new(self.view, HostIx::new(number as usize))
    }
}

/// What packing gives to a host with so much cpu and memory left after the placement.
fn packing(left: i32) -> Fitness {
    let filled = u32::try_from(2 * WHOLE - left).unwrap_or(0);
    Fitness(PACKING.0 / (1 << 21) * filled)
}
