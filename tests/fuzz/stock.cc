#include "tests/fuzz/stock.h"

#include <sys/mman.h>

#include <cstring>

#include "io/objects.h"
#include "io/requests.h"
#include "kernel/system.h"
#include "machine/sim/world.h"
#include "tests/fuzz/callbacks.h"

namespace kdpc::fuzz {

namespace {

constexpr std::size_t kPage = 4096;
constexpr std::uint32_t kTag = pool_tag("fuzz");
// Of a size that only driver blocks have here, so that a freed one is nobody else's.
constexpr std::size_t kFreedSize = 3000;

// Behind the last cell: what a driver has in sections it cannot write to.
constexpr std::uintptr_t kConstants = kDriverData + kCells * kCellPitch;
constexpr char kText[] = "text in read-only memory %d %s %wZ %p %S %ws";

// Made by the system, in memory beside which others lie.
bool is_systems(Kind kind) {
  switch (kind) {
    case Kind::Thread:
    case Kind::Interrupt:
    case Kind::ExTimer:
    case Kind::Driver:
    case Kind::Device:
    case Kind::File:
    case Kind::Irp:
    case Kind::Mdl:
    case Kind::IoWorkItem:
    case Kind::ErrorLogEntry:
    case Kind::CacheAware:
    case Kind::Process:
    case Kind::ObjectType:
    case Kind::Handle:
    case Kind::Block: return true;
    default: return false;
  }
}

// Says where other memory is and how much: taken from another kind's bytes, that could be anybody's.
bool leads_on(Kind kind) { return kind == Kind::Bitmap || kind == Kind::UnicodeString || kind == Kind::AnsiString || kind == Kind::Mdl; }

}  // namespace

bool Stock::map() {
  void* const wanted = reinterpret_cast<void*>(kDriverData);
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
  if (::mmap(wanted, (kCells + 1) * kCellPitch, PROT_NONE, flags, -1, 0) != wanted) return false;
  for (unsigned cell = 0; cell < kCells; ++cell)
    if (::mprotect(reinterpret_cast<void*>(kDriverData + cell * kCellPitch), kPage, PROT_READ | PROT_WRITE) != 0) return false;
  if (::mprotect(reinterpret_cast<void*>(kConstants), kPage, PROT_READ | PROT_WRITE) != 0) return false;
  for (std::size_t at = 0; at + sizeof kText <= kPage; at += 64) std::memcpy(reinterpret_cast<char*>(kConstants) + at, kText, sizeof kText);
  return ::mprotect(reinterpret_cast<void*>(kConstants), kPage, PROT_READ) == 0;
}

void Stock::begin(std::uint64_t seed) {
  random = Random(seed);
  static constexpr unsigned kWildness[] = {0, 0, 5, 10, 20, 40, 100};
  wildness = random.one_of(kWildness);
  item_count_ = 0;
  next_cell_ = 0;
  wanted_void = Kind::Count;
  wanted_word = Kind::Words;
  stack_buffer = 0;
}

void* Stock::cell(std::size_t size, std::size_t slack) {
  const std::uintptr_t page = kDriverData + next_cell_++ % kCells * kCellPitch;
  std::memset(reinterpret_cast<void*>(page), 0, kPage);
  size = (size + 15) / 16 * 16 + slack;
  return reinterpret_cast<void*>(page + kPage - (size < kPage ? size : kPage));
}

void Stock::add(Kind kind, State state, void* address) {
  if (address == nullptr) return;
  const unsigned index = item_count_ < kMostItems ? item_count_++ : static_cast<unsigned>(random.below(kMostItems));
  items_[index] = {kind, state, address};
}

void* Stock::find(Kind kind, State state) {
  void* found = nullptr;
  unsigned seen = 0;
  for (unsigned index = 0; index < item_count_; ++index)
    if (items_[index].kind == kind && items_[index].state == state && random.below(++seen) == 0) found = items_[index].address;
  return found;
}

void* Stock::bad_address() {
  static constexpr std::uintptr_t kUnmapped[] = {0x10,
                                                 0x1000,
                                                 0x123456789000,
                                                 0x500000000008,
                                                 0xFFFF800000001000,
                                                 0xFFFFFFFFFFFFFFF0,
                                                 ~std::uintptr_t{0},
                                                 0x8000000000000000,
                                                 0xDEADBEEFDEADBEEF,
                                                 0xDDDDDDDDDDDDDDDD,
                                                 kDriverData + kPage,
                                                 kDriverData - 8,
                                                 sim::world::isr_stack(0).low - 16};
  if (random.chance(20)) return reinterpret_cast<void*>(kConstants + 8 * random.below(kPage / 8));
  return reinterpret_cast<void*>(random.one_of(kUnmapped));
}

void Stock::fill(void* memory, std::size_t size) {
  auto* words = static_cast<std::uint64_t*>(memory);
  const std::uint64_t manner = random.below(6);
  for (std::size_t index = 0; index < size / sizeof(std::uint64_t); ++index) switch (manner) {
      case 0: words[index] = 0; break;
      case 1: words[index] = ~std::uint64_t{0}; break;
      case 2: words[index] = random.below(16); break;
      case 3: words[index] = random.next(); break;
      case 4: words[index] = random.chance(30) ? random.below(8) << 32 | random.below(8) : reinterpret_cast<std::uintptr_t>(bad_address()); break;
      default: words[index] = reinterpret_cast<std::uintptr_t>(words + random.below(size / sizeof(std::uint64_t))); break;
    }
}

void* Stock::pointer(Kind kind) {
  if (kind == Kind::Words || kind == Kind::Integers) kind = wanted_word != Kind::Words ? wanted_word : kind;
  const std::uint64_t how = random.chance(wildness) ? random.below(100) : 0;
  if (how < 30) {
    if (void* good = find(kind)) return good;
    if (kind == Kind::Handle) return reinterpret_cast<void*>(random.below(32) * 4);
    void* fresh = cell(2048, random.chance(50) ? 0 : 512);
    if (kind == Kind::Bytes || random.chance(50)) fill(fresh, 512);
    return fresh;
  }
  if (how < 40) {
    if (void* made = find(kind, State::Fresh)) return made;
    return cell(random.chance(50) ? 512 : 16);
  }
  if (how < 50) {
    void* garbage = cell(1024);
    fill(garbage, 1024);
    return garbage;
  }
  // Who is given a length may well overrun it: into what is behind, which is somebody's.
  const bool has_length = kind == Kind::Bytes || kind == Kind::Text || kind == Kind::WideText || kind == Kind::Words || kind == Kind::Integers;
  if (how < 58 && !has_length) {
    if (void* freed = find(kind, State::Freed)) return freed;
    return find(Kind::Block, State::Freed);
  }
  if (how < 70) {  // of another kind, but made by the driver: a thread or a device that is initialised as an event is a wild write
    const auto other = static_cast<Kind>(random.below(static_cast<unsigned>(Kind::Count)));
    if (is_systems(other) || leads_on(kind)) return nullptr;
    if (void* wrong = find(other)) return wrong;
    return nullptr;
  }
  if (how < 80) return nullptr;
  if (how < 88) return bad_address();
  if (how < 94) {
    void* good = is_systems(kind) ? nullptr : find(kind);
    return good == nullptr ? nullptr : static_cast<char*>(good) + 1 + random.below(7);
  }
  return has_length ? nullptr : reinterpret_cast<void*>(stack_buffer);
}

void* Stock::anything() {
  const std::uint64_t how = random.below(10);
  if (how < 5) {
    const auto kind = static_cast<Kind>(random.below(static_cast<unsigned>(Kind::Count)));
    return kind == Kind::ObjectType ? nullptr : pointer(kind);  // a byte of the system's, not to be read or written
  }
  if (how < 7) return pointer(Kind::Bytes);
  if (how < 8) return reinterpret_cast<void*>(random.below(64));
  if (how < 9) return nullptr;
  return bad_address();
}

std::uint64_t Stock::integer(unsigned bytes) {
  static constexpr std::uint64_t kNumbers[] = {0,  1,  2,   3,   4,   5,   7,   8,   10,  15,   16,   31,   32,  63,
                                               64, 65, 100, 127, 128, 255, 256, 511, 512, 1000, 4095, 4096, 4097};
  static constexpr std::uint64_t kEdges[] = {0x7F,
                                             0x80,
                                             0xFF,
                                             0x7FFF,
                                             0x8000,
                                             0xFFFF,
                                             0x7FFFFFFF,
                                             0x80000000,
                                             0xFFFFFFFF,
                                             0x100000000,
                                             0x7FFFFFFFFFFFFFFF,
                                             0x8000000000000000,
                                             ~std::uint64_t{0},
                                             ~std::uint64_t{9999},
                                             kTag};
  std::uint64_t value = 0;
  const std::uint64_t how = random.below(random.chance(wildness) ? 100 : 75);
  if (how < 40)
    value = random.below(4);
  else if (how < 70)
    value = random.one_of(kNumbers);
  else if (how < 85)
    value = random.one_of(kEdges);
  else if (how < 92 && bytes == 8)
    value = reinterpret_cast<std::uintptr_t>(pointer(Kind::Thread));
  else if (how < 95)
    value = std::uint64_t{1} << random.below(64);
  else
    value = random.next();
  return bytes == 8 ? value : value & ((std::uint64_t{1} << 8 * bytes) - 1);
}

std::int64_t Stock::due_time() {
  static constexpr std::int64_t kTimes[] = {0, -1,     -10'000,   -100'000,  -200'000,     -10'000'000, -1'000'000'000'000,
                                            1, 10'000, INT64_MAX, INT64_MIN, INT64_MIN + 1};
  if (random.chance(60)) return -static_cast<std::int64_t>(random.below(400'000));
  return random.chance(80) ? random.one_of(kTimes) : static_cast<std::int64_t>(random.next());
}

namespace {

template <class T>
T* good(Stock& stock, Kind kind) {
  T* made = static_cast<T*>(stock.cell(sizeof(T), stock.random.chance(50) ? 0 : 256));
  stock.add(kind, State::Good, made);
  return made;
}

void unfinished(Stock& stock) {
  for (unsigned kind = 0; kind < static_cast<unsigned>(Kind::Count); ++kind) stock.add(static_cast<Kind>(kind), State::Fresh, stock.cell(256));
  for (unsigned count = 0; count < 4; ++count) {
    void* block = ExAllocatePoolWithTag(NonPagedPool, kFreedSize, kTag);
    if (block == nullptr) continue;
    ExFreePoolWithTag(block, kTag);
    stock.add(Kind::Block, State::Freed, block);
  }
}

void texts(Stock& stock) {
  static constexpr const char16_t* kNames[] = {u"\\Device\\Fuzzed",
                                               u"\\??\\Link",
                                               u"\\Registry\\Machine\\System",
                                               u"\\BaseNamedObjects\\Event",
                                               u"KeSetEvent",
                                               u"{12345678-1234-1234-1234-123456789abc}",
                                               u"4711",
                                               u"",
                                               u"Services"};
  for (const char16_t* name : kNames) {
    std::size_t length = 0;
    while (name[length] != 0) ++length;
    auto* wide = static_cast<WCHAR*>(stock.cell(2 * length + 2));
    std::memcpy(wide, name, 2 * length + 2);
    stock.add(Kind::WideText, State::Good, wide);
    auto* string = good<UNICODE_STRING>(stock, Kind::UnicodeString);
    *string = {static_cast<USHORT>(2 * length), static_cast<USHORT>(2 * length + 2), wide};
    auto* text = static_cast<CHAR*>(stock.cell(length + 1));
    for (std::size_t index = 0; index <= length; ++index) text[index] = static_cast<CHAR>(wide[index]);
    stock.add(Kind::Text, State::Good, text);
    auto* narrow = good<STRING>(stock, Kind::AnsiString);
    *narrow = {static_cast<USHORT>(length), static_cast<USHORT>(length + 1), text};
  }
  for (const char* format : {"%d %u %x %p\n", "%s", "%S", "%ws %wZ", "%Z", "%*d%-10c", "%I64x %hhd %lld %%", "%n %f", "%.100000d"}) {
    auto* text = static_cast<CHAR*>(stock.cell(std::strlen(format) + 1));
    std::strcpy(text, format);
    stock.add(Kind::Text, State::Good, text);
  }
  auto* room = good<UNICODE_STRING>(stock, Kind::UnicodeString);
  *room = {0, 128, static_cast<WCHAR*>(stock.cell(128))};
}

void dispatcher_objects(Stock& stock) {
  for (int count = 0; count < 2; ++count) {
    KeInitializeEvent(good<KEVENT>(stock, Kind::Event), count == 0 ? NotificationEvent : SynchronizationEvent, count == 0);
    KeInitializeSemaphore(good<KSEMAPHORE>(stock, Kind::Semaphore), count, 2);
    KeInitializeMutex(good<KMUTANT>(stock, Kind::Mutex), 0);
    auto* timer = good<KTIMER>(stock, Kind::Timer);
    KeInitializeTimerEx(timer, count == 0 ? NotificationTimer : SynchronizationTimer);
    auto* dpc = good<KDPC>(stock, Kind::Dpc);
    KeInitializeDpc(dpc, reinterpret_cast<PKDEFERRED_ROUTINE>(draw_callback(stock)), stock.anything());
    if (stock.random.chance(30))
      KeSetTimerEx(timer, {.QuadPart = -50'000 - static_cast<LONGLONG>(stock.random.below(400'000))}, static_cast<LONG>(stock.random.below(50)),
                   stock.random.chance(50) ? dpc : nullptr);
    KeInitializeApc(good<KAPC>(stock, Kind::Apc), KeGetCurrentThread(), OriginalApcEnvironment, reinterpret_cast<PKKERNEL_ROUTINE>(quiet_callback()),
                    nullptr, count == 0 ? nullptr : reinterpret_cast<PKNORMAL_ROUTINE>(quiet_callback()), KernelMode, nullptr);
  }
  KeInitializeThreadedDpc(good<KDPC>(stock, Kind::Dpc), reinterpret_cast<PKDEFERRED_ROUTINE>(draw_callback(stock)), nullptr);
}

void locks_and_lists(Stock& stock) {
  for (int count = 0; count < 3; ++count) {
    KeInitializeSpinLock(good<KSPIN_LOCK>(stock, Kind::SpinLock));
    good<LONG>(stock, Kind::ReaderWriterLock);
    ExInitializePushLock(good<EX_PUSH_LOCK>(stock, Kind::PushLock));
    good<ULONG_PTR>(stock, Kind::Words);
    good<KLOCK_QUEUE_HANDLE>(stock, Kind::LockHandle);
    good<ULONG>(stock, Kind::Integers);
    good<SLIST_ENTRY>(stock, Kind::SListEntry);
    good<SINGLE_LIST_ENTRY>(stock, Kind::SingleEntry);
    good<KDEVICE_QUEUE_ENTRY>(stock, Kind::QueueEntry);
    good<XSTATE_SAVE>(stock, Kind::ExtendedState);
    auto* head = good<LIST_ENTRY>(stock, Kind::ListEntry);
    head->Flink = head->Blink = head;
    auto* entry = good<LIST_ENTRY>(stock, Kind::ListEntry);
    entry->Flink = entry->Blink = entry;
  }
  ExInitializeRundownProtection(good<EX_RUNDOWN_REF>(stock, Kind::Rundown));
  stock.add(Kind::CacheAware, State::Good, ExAllocateCacheAwareRundownProtection(NonPagedPool, kTag));
  ExInitializeFastMutex(good<FAST_MUTEX>(stock, Kind::FastMutex));
  KeInitializeGuardedMutex(good<FAST_MUTEX>(stock, Kind::FastMutex));
  ExInitializeResourceLite(good<ERESOURCE>(stock, Kind::Resource));
  InitializeSListHead(good<SLIST_HEADER>(stock, Kind::SListHead));
  KeInitializeDeviceQueue(good<KDEVICE_QUEUE>(stock, Kind::DeviceQueue));
  IoInitializeRemoveLockEx(good<IO_REMOVE_LOCK>(stock, Kind::RemoveLock), kTag, 0, 0, sizeof(IO_REMOVE_LOCK));
  ExInitializeNPagedLookasideList(good<NPAGED_LOOKASIDE_LIST>(stock, Kind::Lookaside), nullptr, nullptr, 0, 64, kTag, 0);
  ExInitializePagedLookasideList(good<PAGED_LOOKASIDE_LIST>(stock, Kind::PagedLookaside), nullptr, nullptr, 0, 64, kTag, 0);
  ExInitializeLookasideListEx(good<LOOKASIDE_LIST_EX>(stock, Kind::LookasideEx), nullptr, nullptr, NonPagedPoolNx, 0, 64, kTag, 0);
  RtlInitializeBitMap(good<RTL_BITMAP>(stock, Kind::Bitmap), static_cast<PULONG>(stock.cell(64)), 500);
  ExInitializeWorkItem(good<WORK_QUEUE_ITEM>(stock, Kind::WorkItem), reinterpret_cast<PWORKER_THREAD_ROUTINE>(draw_callback(stock)),
                       stock.anything());
}

void kernel_objects(Stock& stock) {
  stock.add(Kind::Thread, State::Good, KeGetCurrentThread());
  stock.add(Kind::Process, State::Good, IoGetCurrentProcess());
  stock.add(Kind::ObjectType, State::Good, *WdkPsThreadType());
  stock.add(Kind::ObjectType, State::Good, *WdkExEventObjectType());
  HANDLE handle = nullptr;
  if (NT_SUCCESS(
          PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, nullptr, nullptr, nullptr, reinterpret_cast<PKSTART_ROUTINE>(late_callback()), nullptr))) {
    stock.add(Kind::Handle, State::Good, handle);
    PVOID thread = nullptr;
    if (NT_SUCCESS(ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, nullptr, KernelMode, &thread, nullptr)))
      stock.add(Kind::Thread, State::Good, thread);
  }
  if (NT_SUCCESS(ZwCreateEvent(&handle, EVENT_ALL_ACCESS, nullptr, NotificationEvent, FALSE))) stock.add(Kind::Handle, State::Good, handle);
  stock.add(Kind::ExTimer, State::Good,
            ExAllocateTimer(reinterpret_cast<PEXT_CALLBACK>(draw_callback(stock)), nullptr, stock.random.chance(50) ? 0 : EX_TIMER_HIGH_RESOLUTION));
  for (const unsigned vector : {0x51u, 0x93u}) {
    PKINTERRUPT interrupt = nullptr;
    IoConnectInterrupt(&interrupt, reinterpret_cast<PKSERVICE_ROUTINE>(draw_callback(stock)), nullptr, nullptr, vector,
                       static_cast<KIRQL>(vector / 16), static_cast<KIRQL>(vector / 16), Latched, FALSE, 1, FALSE);
    stock.add(Kind::Interrupt, State::Good, interrupt);
  }
  for (int count = 0; count < 3; ++count)
    stock.add(Kind::Block, State::Good, ExAllocatePoolWithTag(count == 0 ? PagedPool : NonPagedPool, 64u << count, kTag));
}

NTSTATUS NTAPI succeed(PDEVICE_OBJECT, PIRP irp) {
  irp->IoStatus.Status = STATUS_SUCCESS;
  irp->IoStatus.Information = 0;
  IofCompleteRequest(irp, IO_NO_INCREMENT);
  return STATUS_SUCCESS;
}

void io_objects(Stock& stock) {
  io::Driver* driver = io::driver::create(u"fuzzed", nullptr, nullptr, 0);
  if (driver == nullptr) return;
  stock.add(Kind::Driver, State::Good, &driver->object);
  for (unsigned major = 0; major <= IRP_MJ_MAXIMUM_FUNCTION; ++major)
    driver->object.MajorFunction[major] =
        major <= IRP_MJ_CLOSE || stock.random.chance(70) ? succeed : reinterpret_cast<PDRIVER_DISPATCH>(draw_callback(stock));
  driver->object.DriverStartIo = reinterpret_cast<PDRIVER_STARTIO>(draw_callback(stock));
  driver->object.DriverUnload = reinterpret_cast<PDRIVER_UNLOAD>(quiet_callback());
  DEVICE_OBJECT* first = nullptr;
  for (const std::u16string_view name : {u"\\Device\\Fuzzed", u""}) {
    DEVICE_OBJECT* device = nullptr;
    if (io::device::create(*driver, 64, name, FILE_DEVICE_UNKNOWN, 0, false, device) != STATUS_SUCCESS) continue;
    device->Flags = (device->Flags & ~static_cast<ULONG>(DO_DEVICE_INITIALIZING)) | DO_BUFFERED_IO;
    KeInitializeDpc(&device->Dpc, reinterpret_cast<PKDEFERRED_ROUTINE>(draw_callback(stock)), device);
    stock.add(Kind::Device, State::Good, device);
    if (first == nullptr) first = device;
  }
  if (first == nullptr) return;
  io::File* file = nullptr;
  if (io::requests::open(u"\\Device\\Fuzzed", file) == STATUS_SUCCESS) stock.add(Kind::File, State::Good, &file->object);
  stock.add(Kind::IoWorkItem, State::Good, IoAllocateWorkItem(first));
  stock.add(Kind::ErrorLogEntry, State::Good, IoAllocateErrorLogEntry(first, sizeof(IO_ERROR_LOG_PACKET)));
  stock.add(Kind::ErrorLogEntry, State::Good, IoAllocateErrorLogEntry(&driver->object, ERROR_LOG_MAXIMUM_SIZE));
  for (int count = 0; count < 3; ++count) {
    PIRP irp = IoAllocateIrp(static_cast<CCHAR>(1 + count), FALSE);
    if (irp == nullptr) continue;
    IoSetNextIrpStackLocation(irp);
    IoGetCurrentIrpStackLocation(irp)->MajorFunction = static_cast<UCHAR>(stock.random.below(IRP_MJ_MAXIMUM_FUNCTION + 1));
    IoGetCurrentIrpStackLocation(irp)->DeviceObject = first;
    if (stock.random.chance(60)) IoSkipCurrentIrpStackLocation(irp);
    stock.add(Kind::Irp, State::Good, irp);
  }
  void* block = stock.find(Kind::Block);
  PMDL mdl = IoAllocateMdl(block, 64, FALSE, FALSE, nullptr);
  if (mdl != nullptr) MmBuildMdlForNonPagedPool(mdl);
  stock.add(Kind::Mdl, State::Good, mdl);
  stock.add(Kind::Mdl, State::Good, IoAllocateMdl(stock.cell(300), 300, FALSE, FALSE, nullptr));
  UNICODE_STRING path = {0, 0, nullptr};
  static WCHAR kKey[] = u"\\Registry\\Machine\\System";
  path = {sizeof kKey - sizeof(WCHAR), sizeof kKey, kKey};
  OBJECT_ATTRIBUTES attributes;
  InitializeObjectAttributes(&attributes, &path, OBJ_KERNEL_HANDLE, nullptr, nullptr);
  HANDLE key = nullptr;
  if (NT_SUCCESS(ZwCreateKey(&key, KEY_ALL_ACCESS, &attributes, 0, nullptr, 0, nullptr))) stock.add(Kind::Handle, State::Good, key);
}

}  // namespace

void furnish(Stock& stock) {
  unfinished(stock);
  texts(stock);
  locks_and_lists(stock);
  kernel_objects(stock);
  dispatcher_objects(stock);
  io_objects(stock);
}

}  // namespace kdpc::fuzz
