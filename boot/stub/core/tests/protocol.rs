//! The Limine protocol, read back through the `limine` crate, which is what the kernel uses: it
//! was written by others from the same document, so a wrong constant here does not pass.

use boot_stub_core::answer::{Facts, LoadedFile, answer, arena_size};
use boot_stub_core::arena::Arena;
use boot_stub_core::limine::{
    BASE_REVISION_TAG, END_MARKER, Feature, REQUEST, STACK_SIZE, START_MARKER,
};
use boot_stub_core::memory::{Kind, Region};
use boot_stub_core::requests::{MAX_REQUESTS, RequestError, Requests};
use limine::BaseRevision;
use limine::paging::Mode;
use limine::request::*;
use proptest::prelude::*;

/// Where the direct map is in these tests.
const DIRECT_MAP: u64 = 0xffff_8000_0000_0000;

/// What a kernel has in its `.requests` sections.
#[repr(C)]
struct Kernel {
    noise: [u64; 5],
    start: RequestsStartMarker,
    revision: BaseRevision,
    info: BootloaderInfoRequest,
    stack: StackSizeRequest,
    direct_map: HhdmRequest,
    paging: PagingModeRequest,
    map: MemoryMapRequest,
    modules: ModuleRequest,
    file: ExecutableFileRequest,
    rsdp: RsdpRequest,
    address: ExecutableAddressRequest,
    command_line: ExecutableCmdlineRequest,
    entry: EntryPointRequest,
    tree: DeviceTreeBlobRequest,
    date: DateAtBootRequest,
    end: RequestsEndMarker,
    behind: FramebufferRequest,
}

fn kernel(revision: u64) -> Box<Kernel> {
    Box::new(Kernel {
        noise: [0, BASE_REVISION_TAG[0], BASE_REVISION_TAG[1], 0, REQUEST[0]],
        start: RequestsStartMarker::new(),
        revision: BaseRevision::with_revision(revision),
        info: BootloaderInfoRequest::new(),
        stack: StackSizeRequest::new().with_size(1 << 20),
        direct_map: HhdmRequest::new(),
        paging: PagingModeRequest::new(),
        map: MemoryMapRequest::new(),
        modules: ModuleRequest::new(),
        file: ExecutableFileRequest::new(),
        rsdp: RsdpRequest::new(),
        address: ExecutableAddressRequest::new(),
        command_line: ExecutableCmdlineRequest::new(),
        entry: EntryPointRequest::new(),
        tree: DeviceTreeBlobRequest::new(),
        date: DateAtBootRequest::new(),
        end: RequestsEndMarker::new(),
        behind: FramebufferRequest::new(),
    })
}

/// The kernel as the stub sees it.
fn image(kernel: &mut Kernel) -> &mut [u64] {
    let words = size_of::<Kernel>() / 8;
    // SAFETY: all of the structure is initialised, it has no padding (every member is made of
    // words), and it is borrowed for as long as the slice lives.
    unsafe { std::slice::from_raw_parts_mut(std::ptr::from_mut(kernel).cast(), words) }
}

const REGIONS: [Region; 2] = [
    Region { base: 0x1000, end: 0x9000, kind: Kind::Usable },
    Region { base: 0x9000, end: 0xa000, kind: Kind::BootloaderReclaimable },
];

const MODULES: [LoadedFile<'_>; 2] = [
    LoadedFile { base: 0x20_0000, size: 5, command_line: "init crc32=01234567" },
    LoadedFile { base: 0x20_1000, size: 0, command_line: "manifest" },
];

fn facts() -> Facts<'static> {
    Facts {
        regions: &REGIONS,
        modules: &MODULES,
        executable: Some(LoadedFile { base: 0x30_0000, size: 9, command_line: "kernel" }),
        command_line: b"a=b c",
        rsdp: Some(0xf_5a20),
        device_tree: Some(0x4_8000),
        direct_map: DIRECT_MAP,
        physical_base: 0x12_3000,
        virtual_base: 0xffff_ffff_8000_0000,
    }
}

/// Answers a kernel, with the answers at their host addresses.
fn answered(revision: u64, facts: &Facts<'_>) -> (Box<Kernel>, Vec<u64>) {
    let mut kernel = kernel(revision);
    let lines = facts.modules.iter().chain(&facts.executable).map(|file| file.command_line);
    let size = arena_size(lines, facts.command_line);
    let mut words = vec![0xeeee_eeee_eeee_eeee; size as usize / 8];
    let base = words.as_ptr() as u64;
    let requests = Requests::scan(image(&mut kernel)).unwrap();
    answer(image(&mut kernel), &requests, facts, &mut Arena::new(&mut words, base)).unwrap();
    (kernel, words)
}

#[test]
fn the_kernel_reads_every_answer() {
    let (kernel, _arena) = answered(3, &facts());
    assert!(kernel.revision.is_supported());
    assert_eq!(kernel.revision.loaded_revision(), Some(3));
    assert_eq!(kernel.info.get_response().unwrap().name(), "tocsin-direct");
    assert_eq!(kernel.info.get_response().unwrap().version(), env!("CARGO_PKG_VERSION"));
    assert!(kernel.stack.get_response().is_some());
    assert_eq!(kernel.direct_map.get_response().unwrap().offset(), DIRECT_MAP);
    assert!(kernel.paging.get_response().unwrap().mode() == Mode::FOUR_LEVEL);

    let map = kernel.map.get_response().unwrap().entries();
    let map: Vec<_> = map.iter().map(|entry| (entry.base, entry.length)).collect();
    assert_eq!(map, [(0x1000, 0x8000), (0x9000, 0x1000)]);
    let kinds = kernel.map.get_response().unwrap().entries();
    assert!(kinds[0].entry_type == limine::memory_map::EntryType::USABLE);
    assert!(kinds[1].entry_type == limine::memory_map::EntryType::BOOTLOADER_RECLAIMABLE);

    let modules = kernel.modules.get_response().unwrap().modules();
    assert_eq!(modules.len(), 2);
    assert_eq!(modules[0].addr() as u64, DIRECT_MAP + 0x20_0000);
    assert_eq!(modules[0].size(), 5);
    assert_eq!(modules[0].path(), c"/init");
    assert_eq!(modules[0].string(), c"init crc32=01234567");
    assert_eq!(modules[1].string(), c"manifest");
    assert_eq!(modules[0].tftp_ip(), None);
    assert!(modules[0].gpt_disk_id().is_none());

    let file = kernel.file.get_response().unwrap().file();
    assert_eq!((file.addr() as u64, file.size()), (DIRECT_MAP + 0x30_0000, 9));
    assert_eq!((file.path(), file.string()), (c"/kernel", c"a=b c"));
    assert_eq!(kernel.rsdp.get_response().unwrap().address(), 0xf_5a20);
    let address = kernel.address.get_response().unwrap();
    assert_eq!(address.physical_base(), 0x12_3000);
    assert_eq!(address.virtual_base(), 0xffff_ffff_8000_0000);
    assert_eq!(kernel.command_line.get_response().unwrap().cmdline(), c"a=b c");
    assert!(kernel.entry.get_response().is_some());
    let tree = kernel.tree.get_response().unwrap().dtb_ptr();
    assert_eq!(tree as u64, DIRECT_MAP + 0x4_8000);
    // Not supported, and behind the end marker.
    assert!(kernel.date.get_response().is_none());
    assert!(kernel.behind.get_response().is_none());
}

#[test]
fn what_is_not_there_is_not_answered() {
    let facts = Facts { rsdp: None, device_tree: None, executable: None, modules: &[], ..facts() };
    let (kernel, _arena) = answered(3, &facts);
    assert!(kernel.rsdp.get_response().is_none());
    assert!(kernel.tree.get_response().is_none());
    assert!(kernel.file.get_response().is_none());
    assert_eq!(kernel.modules.get_response().unwrap().modules().len(), 0);
}

#[test]
fn base_revisions() {
    for (wanted, used, supported) in [(1, 1, true), (2, 2, true), (3, 3, true), (4, 3, false)] {
        let (kernel, _arena) = answered(wanted, &facts());
        assert_eq!(kernel.revision.is_supported(), supported);
        assert_eq!(kernel.revision.loaded_revision(), Some(used));
        let rsdp = if used == 3 { 0xf_5a20 } else { DIRECT_MAP as usize + 0xf_5a20 };
        assert_eq!(kernel.rsdp.get_response().unwrap().address(), rsdp);
    }
    assert_eq!(Requests::scan(image(&mut kernel(0))), Err(RequestError::BaseRevision));
    assert_eq!(Requests::scan(&[]), Err(RequestError::BaseRevision));
}

#[test]
fn the_bound_of_the_answers_is_one() {
    let line = "x".repeat(200);
    let module = LoadedFile { base: 0, size: 0, command_line: &line };
    let region = Region { base: 0, end: 0x1000, kind: Kind::Usable };
    let facts = Facts {
        regions: &[region; boot_stub_core::memory::MAX_REGIONS],
        modules: &[module; boot_stub_core::bundle::MAX_MODULES],
        executable: Some(module),
        command_line: &[b'y'; 4096],
        ..facts()
    };
    let (kernel, _arena) = answered(3, &facts);
    assert_eq!(kernel.command_line.get_response().unwrap().cmdline().count_bytes(), 4096);
}

#[test]
fn numbers_that_the_kernel_asks_for() {
    let mut kernel = kernel(3);
    let image = image(&mut kernel);
    let mut requests = Requests::scan(image).unwrap();
    assert_eq!(requests.stack_size(image), 1 << 20);
    assert!(requests.entry_point(image).is_some());
    assert_eq!(requests.check_paging_mode(image), Ok(()));

    let at = requests.find(Feature::PagingMode).unwrap();
    image[at + 8] = 1;
    assert_eq!(requests.check_paging_mode(image), Err(RequestError::PagingMode));
    // Revision 0 of the request has no such member.
    image[at + 4] = 0;
    assert_eq!(requests.check_paging_mode(image), Ok(()));
    let stack = requests.find(Feature::StackSize).unwrap();
    image[stack + 6] = 5;
    assert_eq!(requests.stack_size(image), STACK_SIZE);
    requests = Requests::default();
    assert_eq!(requests.stack_size(image), STACK_SIZE);
    assert_eq!(requests.entry_point(image), None);
}

fn tag() -> Vec<u64> {
    [&BASE_REVISION_TAG[..], &[3]].concat()
}

fn request(id: [u64; 2]) -> Vec<u64> {
    [REQUEST, id, [0, 0]].concat()
}

#[test]
fn refuses_doubles_and_cut_requests() {
    let map = request(Feature::MemoryMap.id());
    let scan = |parts: &[&[u64]]| Requests::scan(&parts.concat()).map(|_| ());
    assert_eq!(scan(&[&tag(), &map]), Ok(()));
    assert_eq!(scan(&[&tag(), &map, &map]), Err(RequestError::Duplicate));
    assert_eq!(scan(&[&tag(), &tag()]), Err(RequestError::Duplicate));
    // A request that the stub does not know may not be there twice either.
    let other = request([1, 2]);
    assert_eq!(scan(&[&tag(), &other, &other]), Err(RequestError::Duplicate));
    for length in 2..map.len() {
        assert_eq!(scan(&[&tag(), &map[..length]]), Err(RequestError::CutOff));
    }
    let stack = request(Feature::StackSize.id());
    assert_eq!(scan(&[&tag(), &stack]), Err(RequestError::CutOff));
    assert_eq!(scan(&[&tag(), &stack, &[7]]), Ok(()));
    assert_eq!(scan(&[&map, &tag()[..2]]), Err(RequestError::CutOff));
    let many: Vec<u64> = (0..=MAX_REQUESTS as u64).flat_map(|n| request([n, n])).collect();
    assert_eq!(scan(&[&tag(), &many]), Err(RequestError::TooMany));
}

#[test]
fn only_what_is_between_the_markers_counts() {
    let (map, rsdp) = (request(Feature::MemoryMap.id()), request(Feature::Rsdp.id()));
    let image = [&map[..], &START_MARKER, &tag(), &rsdp, &END_MARKER, &map, &map].concat();
    let requests = Requests::scan(&image).unwrap();
    assert_eq!(requests.find(Feature::MemoryMap), None);
    assert_eq!(requests.find(Feature::Rsdp), Some(6 + 4 + 3));
    // The tag is before the marker.
    let image = [&tag()[..], &START_MARKER, &rsdp].concat();
    assert_eq!(Requests::scan(&image), Err(RequestError::BaseRevision));
}

proptest! {
    /// Images made of pieces of the protocol and of noise: no panic, and an answer writes into
    /// responses and the tag only.
    #[test]
    fn any_image_is_answered_or_refused(
        pieces in prop::collection::vec((0_usize..20, any::<[u64; 3]>()), 0..20)
    ) {
        let mut image: Vec<u64> = tag();
        for (piece, noise) in pieces {
            match piece {
                0..12 => image.extend(request(Feature::ALL[piece].id())),
                12 => image.extend(START_MARKER),
                13 => image.extend(END_MARKER),
                14 => image.extend(tag()),
                15 => image.extend(&REQUEST[..]),
                16 => image.extend(request([noise[0], 0])),
                17 => { image.pop(); }
                _ => image.extend(noise),
            }
        }
        let before = image.clone();
        if let Ok(requests) = Requests::scan(&image) {
            let _ = requests.check_paging_mode(&image);
            let mut words = vec![0; 2000];
            let result = answer(&mut image, &requests, &facts(), &mut Arena::new(&mut words, 8));
            prop_assert!(result.is_ok());
            let changed = before.iter().zip(&image).filter(|(old, new)| old != new).count();
            prop_assert!(changed <= 2 + Feature::ALL.len());
        }
    }

    /// An arena that is too small is an error, not a panic.
    #[test]
    fn a_full_arena_is_an_error(size in 0_usize..90) {
        let mut kernel = kernel(3);
        let image = image(&mut kernel);
        let requests = Requests::scan(image).unwrap();
        let mut words = vec![0; size];
        let result = answer(image, &requests, &facts(), &mut Arena::new(&mut words, 8));
        prop_assert!(result.is_err());
    }
}
