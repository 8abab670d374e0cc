//! A disk in memory that fails, is full, or loses power at a step of one's choice.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io::{self, Cursor},
    rc::Rc,
};

use crate::log::disk::Disk;

/// What happens at a step and after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// This step fails, and later ones do not.
    Once,
    /// From this step on everything fails but reading: the file system has become read-only.
    Forever,
    /// From this step on nothing can be written: half of what is to be written fits. Files can be cut
    /// and removed.
    Full,
}

/// What a loss of power leaves of writes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// All of them.
    All,
    /// Those before the last one.
    AllButOne,
    /// None of them.
    None,
    /// None of them; but files are as long as if there were, with zeros.
    Zeros,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    synced: Vec<u8>,
    /// What it held after each step since then. The last one is what is read.
    since: Vec<Vec<u8>>,
}

impl Inode {
    fn bytes(&self) -> &Vec<u8> {
        self.since.last().unwrap_or(&self.synced)
    }

    fn left(&self, left: Left) -> Vec<u8> {
        match left {
            Left::All => self.bytes().clone(),
            Left::AllButOne => {
                let before = self.since.len().checked_sub(2).map(|last| &self.since[last]);
                before.unwrap_or(&self.synced).clone()
            }
            Left::None => self.synced.clone(),
            Left::Zeros => {
                let mut bytes = self.synced.clone();
                bytes.resize(self.bytes().len(), 0);
                bytes
            }
        }
    }
}

#[derive(Clone, Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    used: bool,
    steps: usize,
    fault: Option<(usize, Fault)>,
}

/// The disk. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Simulated(Rc<RefCell<State>>);

impl Simulated {
    /// Lets a step fail. Steps are counted from now on.
    pub(super) fn fail(&self, step: usize, fault: Fault) {
        let mut state = self.0.borrow_mut();
        state.steps = 0;
        state.fault = Some((step, fault));
    }

    /// Steps since the last fault was arranged.
    pub(super) fn steps(&self) -> usize {
        self.0.borrow().steps
    }

    pub(super) fn repair(&self) {
        self.0.borrow_mut().fault = None;
    }

    /// The disk as it is after a loss of power. `names` decides whether changes of names that were not
    /// synced are left.
    pub(super) fn without_power(&self, left: Left, names: bool) -> Self {
        let state = self.0.borrow();
        let synced = |inode: &Inode| Inode { synced: inode.left(left), since: Vec::new() };
        let names = if names { &state.names } else { &state.synced_names };
        Self(Rc::new(RefCell::new(State {
            inodes: state.inodes.iter().map(synced).collect(),
            names: names.clone(),
            synced_names: names.clone(),
            used: state.used,
            steps: 0,
            fault: None,
        })))
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.0.borrow().names.keys().cloned().collect()
    }

    pub(super) fn read(&self, name: &str) -> Vec<u8> {
        let state = self.0.borrow();
        state.inodes[state.names[name]].bytes().clone()
    }

    /// Counts a step. Fails if it is to fail.
    fn step(&self, needs_space: bool) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        let step = state.steps;
        state.steps += 1;
        let fails = match state.fault {
            Some((at, Fault::Once)) => step == at,
            Some((at, Fault::Forever)) => step >= at,
            Some((at, Fault::Full)) => needs_space && step >= at,
            None => false,
        };
        if fails { Err(io::Error::other("the disk fails")) } else { Ok(()) }
    }

    fn change(&self, inode: usize, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.borrow_mut();
        let inode = &mut state.inodes[inode];
        let mut bytes = inode.bytes().clone();
        change(&mut bytes);
        inode.since.push(bytes);
    }
}

impl Disk for Simulated {
    type File = usize;
    type Source = Cursor<Vec<u8>>;

    fn open(&self, name: &str) -> io::Result<Option<Self::Source>> {
        let state = self.0.borrow();
        let inode = state.names.get(name).map(|inode| &state.inodes[*inode]);
        Ok(inode.map(|inode| Cursor::new(inode.bytes().clone())))
    }

    fn create(&mut self, name: &str) -> io::Result<usize> {
        self.step(true)?;
        let mut state = self.0.borrow_mut();
        state.inodes.push(Inode::default());
        let inode = state.inodes.len() - 1;
        state.names.insert(name.into(), inode);
        Ok(inode)
    }

    fn write(&mut self, file: &mut usize, at: u64, bytes: &[u8]) -> io::Result<()> {
        let step = self.step(true);
        let fits = if step.is_ok() { bytes } else { &bytes[..bytes.len() / 2] };
        self.change(*file, |content| {
            let at = usize::try_from(at).unwrap();
            content.resize(content.len().max(at + fits.len()), 0);
            content[at..][..fits.len()].copy_from_slice(fits);
        });
        step
    }

    fn truncate(&mut self, file: &mut usize, len: u64) -> io::Result<()> {
        self.step(false)?;
        self.change(*file, |content| content.resize(usize::try_from(len).unwrap(), 0));
        Ok(())
    }

    fn sync(&mut self, file: &mut usize) -> io::Result<()> {
        self.step(false)?;
        let mut state = self.0.borrow_mut();
        let inode = &mut state.inodes[*file];
        if let Some(bytes) = inode.since.pop() {
            inode.synced = bytes;
        }
        inode.since.clear();
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.step(false)?;
        let mut state = self.0.borrow_mut();
        let inode = state.names.remove(from).unwrap();
        state.names.insert(to.into(), inode);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.step(false)?;
        self.0.borrow_mut().names.remove(name);
        Ok(())
    }

    fn sync_names(&mut self) -> io::Result<()> {
        self.step(false)?;
        let mut state = self.0.borrow_mut();
        state.synced_names = state.names.clone();
        Ok(())
    }

    fn keep(&mut self, name: &str) -> io::Result<String> {
        self.step(true)?;
        let mut state = self.0.borrow_mut();
        let (inode, kept) = (state.names[name], format!("{name}.kept"));
        state.names.insert(kept.clone(), inode);
        state.synced_names.insert(kept.clone(), inode);
        Ok(kept)
    }

    fn was_used(&self) -> io::Result<bool> {
        Ok(self.0.borrow().used)
    }

    fn note_use(&mut self) -> io::Result<()> {
        self.step(true)?;
        self.0.borrow_mut().used = true;
        Ok(())
    }
}
