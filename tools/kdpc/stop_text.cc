#include "tools/kdpc/stop_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <string_view>

#include "kernel/bugcheck.h"

namespace kdpc::tool {
namespace {

constexpr std::uint64_t kAny = ~std::uint64_t{0};

// The first row that fits stands; rows with a first parameter come before the one for the rest of their code.
struct Row {
  std::uint32_t code;
  std::uint64_t first;
  std::string_view about;
  std::string_view parameters[4];
};

constexpr Row kRows[] = {
    {stop::ApcIndexMismatch,
     kAny,
     "A routine returned inside a critical or guarded region that it had entered.",
     {"The routine.", "", "The count of such regions: special APCs << 16 | kernel APCs.", "1: a work item."}},
    {stop::IrqlNotGreaterOrEqual,
     kAny,
     "A routine was called at a lower IRQL than it needs, or a raise would have lowered.",
     {"The current IRQL.", "The IRQL that was asked for, or the lowest one allowed.", "A lock, or 0.", "1: a raise or lower; 0: another routine."}},
    {stop::IrqlNotLessOrEqual,
     kAny,
     "Memory was touched, or a routine called, at an IRQL that is too high for it.",
     {"The address, or the current IRQL.", "The IRQL.", "0: read; 1: write; 8: execute.", "The instruction, or 1: a raise or lower."}},
    {stop::SpinLockAlreadyOwned,
     kAny,
     "A processor asked for a spin lock it holds already: it would wait for itself for ever.",
     {"The spin lock.", "The processor that owns it.", "The current processor.", "The IRQL."}},
    {stop::SpinLockNotOwned,
     kAny,
     "A spin lock was released by a processor that does not hold it.",
     {"The spin lock.", "The current processor.", "The owner, or -1: nobody.", "The IRQL."}},
    {stop::ReferenceByPointer,
     kAny,
     "An object was referenced or dereferenced that is none, or is gone.",
     {"The object's type, or 0.", "The object.", "", ""}},
    {stop::BadPoolHeader,
     kAny,
     "Somebody wrote outside a block of pool memory.",
     {"0x20: the guard around the block is damaged.", "The block.", "The first damaged byte.", "The block's size."}},
    {stop::KmodeExceptionNotHandled,
     kAny,
     "An exception was raised in kernel mode, and nobody handles it.",
     {"The exception code.", "Where it was raised.", "Exception parameter 0.", "Exception parameter 1."}},
    {stop::MaximumWaitObjectsExceeded,
     kAny,
     "A wait for more objects than one wait can have: 64 with an array of wait blocks, 3 without.",
     {"", "", "", ""}},
    {stop::KernelApcPendingDuringExit,
     kAny,
     "A thread has ended inside a critical or guarded region.",
     {"An APC that waits for the end of the region, or 0.", "The count of such regions.", "The IRQL.", ""}},
    {stop::SystemExitOwnedMutex, kAny, "A work item returned while it owned a mutex.", {"The routine.", "Its parameter.", "The work item.", ""}},
    {stop::NoMoreIrpStackLocations, kAny, "An IRP was sent to one more driver than it has stack locations for.", {"The IRP.", "", "", ""}},
    {stop::InterruptExceptionNotHandled,
     kAny,
     "An exception was raised in an interrupt routine.",
     {"The exception record.", "The context record.", "", ""}},
    {stop::MultipleIrpCompleteRequests,
     kAny,
     "An IRP was completed twice: two parts of a driver, or two drivers, believe it is theirs.",
     {"The IRP.", "", "", ""}},
    {stop::CancelStateInCompletedIrp, kAny, "An IRP was completed with its cancel routine still set.", {"The IRP.", "", "", ""}},
    {stop::PageFaultInNonpagedArea,
     kAny,
     "An address was used at which there is no memory.",
     {"The address.", "0: read; 1: write; 10: execute.", "The instruction.", ""}},
    {stop::UnexpectedKernelModeTrap,
     8,
     "A kernel stack has overflowed.",
     {"8: double fault.", "The address that was touched.", "The stack pointer.", "The instruction."}},
    {stop::UnexpectedKernelModeTrap,
     kAny,
     "The processor raised a trap the kernel may not cause.",
     {"0: division; 6: invalid instruction.", "The instruction.", "", ""}},
    {stop::DriverPowerStateFailure,
     kAny,
     "A power request has not been completed in time.",
     {"3: a device has held an IRP for too long.", "The physical device object.", "", "The IRP."}},
    {stop::AttemptedSwitchFromDpc,
     kAny,
     "A DPC routine tried to wait. DPCs run on a borrowed thread at DISPATCH_LEVEL, where nothing can be switched.",
     {"The thread that ran.", "The thread that would have run next.", "The stack of the thread that ran.", ""}},
    {stop::BadPoolCaller, 7, "A block of pool memory was freed twice.", {"7: freed already.", "", "The block's header.", "The block."}},
    {stop::BadPoolCaller,
     8,
     "Pool memory was asked for at an IRQL at which this pool cannot be used.",
     {"8: allocation.", "The IRQL.", "The pool's type.", "The size."}},
    {stop::BadPoolCaller,
     9,
     "Pool memory was freed at an IRQL at which this pool cannot be used.",
     {"9: release.", "The IRQL.", "The pool's type.", "The block."}},
    {stop::BadPoolCaller,
     0xA,
     "A block of pool memory was freed with another tag than it was allocated with.",
     {"0xA: another tag.", "The block.", "The tag it has.", "The tag it was freed with."}},
    {stop::BadPoolCaller, 0x46, "Memory was freed that is not pool memory.", {"0x46: no pool address.", "The address.", "", ""}},
    {stop::BadPoolCaller, kAny, "A pool routine was misused.", {"What was wrong.", "", "", ""}},
    {stop::DriverVerifierDetectedViolation,
     0x15,
     "Memory was freed that holds a timer which is still set.",
     {"0x15: freeing an active timer.", "The timer.", "The pool's type.", "Where the memory begins."}},
    {stop::DriverVerifierDetectedViolation,
     0x110,
     "An interrupt service routine has changed the mode of floating-point arithmetic and not put it back.",
     {"0x110: the ISR's floating-point state.", "The routine.", "The state before.", "The state after."}},
    {stop::DriverVerifierDetectedViolation,
     0x111,
     "An interrupt service routine returned at another IRQL than it was called at.",
     {"0x111: the ISR's IRQL.", "The routine.", "The IRQL before.", "The IRQL after."}},
    {stop::DriverVerifierDetectedViolation,
     0x30,
     "KeRaiseIrql was asked for a level below the current one.",
     {"0x30: raising to a lower IRQL.", "The current IRQL.", "The new IRQL.", ""}},
    {stop::DriverVerifierDetectedViolation,
     0x31,
     "KeLowerIrql was asked for a level above the current one, or for one a DPC may not go to.",
     {"0x31: lowering to a higher IRQL.", "The current IRQL.", "The new IRQL.", "1: inside a DPC routine."}},
    {stop::DriverVerifierDetectedViolation,
     0xE5,
     "A routine was called at an IRQL that is too high for it.",
     {"0xE5: IRQL too high.", "The current IRQL.", "The object of the call.", ""}},
    {stop::DriverVerifierDetectedViolation,
     0xFA,
     "A completion routine returned at another IRQL than it was called at.",
     {"0xFA: the completion routine's IRQL.", "The routine.", "The IRQL before.", "The IRQL after."}},
    {stop::DriverVerifierDetectedViolation,
     0x1002,
     "A lock or a list was used that has not been initialised, is no more, or was overwritten.",
     {"0x1002: not initialised, or overwritten.", "The lock or list.", "Of a queued spin lock: the handle that does not fit.", ""}},
    {stop::DriverVerifierDetectedViolation,
     0x1004,
     "A lock was released in another thread than it was acquired in.",
     {"0x1004: another thread.", "The lock.", "The thread that acquired it.", "The current thread."}},
    {stop::DriverVerifierDetectedViolation,
     0x1005,
     "A lock was initialised again while it is in use.",
     {"0x1005: initialised twice.", "The lock, or its handle.", "", ""}},
    {stop::DriverVerifierDetectedViolation,
     0x1008,
     "A lock was acquired in two ways that exclude each other.",
     {"0x1008: another kind of acquisition.", "The lock.", "", ""}},
    {stop::DriverVerifierDetectedViolation,
     0x1009,
     "A lock was released in another way than it was acquired.",
     {"0x1009: another kind of release.", "The lock.", "", ""}},
    {stop::DriverVerifierDetectedViolation,
     0x100A,
     "A thread has ended that still holds a lock.",
     {"0x100A: the owner ends.", "The thread.", "The lock.", ""}},
    {stop::DriverVerifierDetectedViolation,
     0x100B,
     "Memory was freed that holds a lock which is held.",
     {"0x100B: the lock is freed.", "The lock.", "The thread that holds it.", ""}},
    {stop::DriverVerifierDetectedViolation,
     kAny,
     "A rule of the kernel's interface was broken.",
     {"Which rule.", "The current IRQL, or the object of the call.", "The object of the call, or what it clashes with.", "The same."}},
    {stop::DriverVerifierIoManagerViolation,
     0,
     "What a dispatch routine returned and what it did with the IRP do not agree.",
     {"0: status and IRP disagree.", "The IRP.", "What was returned.", ""}},
    {stop::DriverVerifierIoManagerViolation, 1, "IoFreeIrp was given something that is not an IRP.", {"1: no IRP.", "What was given.", "", ""}},
    {stop::DriverVerifierIoManagerViolation,
     2,
     "IoFreeIrp was given an IRP that belongs to the thread that requested it.",
     {"2: not the driver's.", "The IRP.", "", ""}},
    {stop::DriverVerifierIoManagerViolation, 3, "IoCallDriver was given something that is not an IRP.", {"3: no IRP.", "What was given.", "", ""}},
    {stop::DriverVerifierIoManagerViolation,
     4,
     "IoCallDriver was given something that is not a device object.",
     {"4: no device.", "What was given.", "", ""}},
    {stop::DriverVerifierIoManagerViolation,
     5,
     "A dispatch routine returned at another IRQL than it was called at.",
     {"5: IRQL changed.", "The device object.", "The IRQL before.", "The IRQL after."}},
    {stop::DriverVerifierIoManagerViolation,
     6,
     "An IRP was completed with a status that is no result.",
     {"6: status.", "The status.", "The IRP.", ""}},
    {stop::DriverVerifierIoManagerViolation,
     kAny,
     "A rule of the I/O manager's interface was broken.",
     {"Which rule.", "The object of the call.", "", ""}},
    {stop::TimerOrDpcInvalid,
     0,
     "Memory is freed, or a driver unloaded, that holds a timer which is still set.",
     {"0: a timer.", "The timer.", "Where the memory begins.", "Where it ends."}},
    {stop::TimerOrDpcInvalid,
     1,
     "Memory is freed, or a driver unloaded, that holds a KDPC which is still queued.",
     {"1: a DPC.", "The KDPC.", "Where the memory begins.", "Where it ends."}},
    {stop::TimerOrDpcInvalid,
     2,
     "A driver is unloaded that holds the routine of a DPC which is still queued.",
     {"2: a DPC routine.", "The routine.", "Where the memory begins.", "Where it ends."}},
    {stop::TimerOrDpcInvalid,
     3,
     "A KDPC names a processor that does not exist: it was never initialised, or has been overwritten.",
     {"3: the DPC's processor.", "The KDPC.", "The processor's number.", "How many processors there are."}},
    {stop::TimerOrDpcInvalid,
     kAny,
     "A DPC routine has changed the interrupted thread's count of disabled APCs.",
     {"4 or 5: APCs.", "The routine.", "The count before.", "The count after."}},
    {stop::IrqlUnexpectedValue,
     kAny,
     "A routine returned at another IRQL than it was called at.",
     {"The IRQL after << 16 | before << 8 | what it was.", "The routine.", "The object it belongs to.", ""}},
    {stop::DriverUnloadedWithoutCancellingPendingOperations,
     kAny,
     "A driver was unloaded while the kernel still has a routine of it to call.",
     {"The address.", "0: read; 1: write; 8: execute.", "The instruction.", "The object that would call it."}},
    {stop::SystemScanAtRaisedIrqlCaughtImproperDriverUnload,
     kAny,
     "At DISPATCH_LEVEL or above, something of a driver was used that has been unloaded.",
     {"The address.", "The IRQL.", "0: read; 1: write; 8: execute.", "The instruction."}},
    {stop::DriverIrqlNotLessOrEqual,
     kAny,
     "A driver touched memory at an IRQL at which that memory cannot be used, or at which there is none.",
     {"The address.", "The IRQL.", "0: read; 1: write; 2 or 8: execute.", "The instruction."}},
    {stop::WorkerThreadReturnedAtBadIrql,
     kAny,
     "A work item's routine returned at a raised IRQL.",
     {"The routine.", "The IRQL.", "Its parameter.", "The work item."}},
    {stop::ResourceNotOwned,
     kAny,
     "A resource was released by a thread that does not own it.",
     {"The resource.", "The thread.", "The table of its owners.", ""}},
    {stop::WorkerInvalid,
     kAny,
     "A work item was queued, freed or given back in a state in which that may not be done.",
     {"What was wrong.", "The work item.", "", ""}},
    {stop::DriverVerifierDmaViolation, kAny, "A rule of DMA was broken.", {"Which rule.", "What the rule is about.", "The same.", "The same."}},
    {stop::ActiveExWorkerThreadTermination, kAny, "A work item has ended the system worker that runs it.", {"The thread.", "", "", ""}},
    {stop::HardwareInterruptStorm,
     kAny,
     "An interrupt line stays asserted, and none of its ISRs quiets its device: the processor does nothing else.",
     {"The (first) ISR.", "Its context.", "The interrupt object.", "1: one ISR on this line; 2: several."}},
    {stop::ClockWatchdogTimeout,
     kAny,
     "A processor takes no clock interrupts.",
     {"How long, in clock ticks.", "", "The processor block.", "The processor."}},
    {stop::DpcWatchdogTimeout,
     kAny,
     "A processor has spent too long at DISPATCH_LEVEL or above.",
     {"The watchdog's period, in clock ticks.", "The processor block.", "", ""}},
    {stop::IpiWatchdogTimeout,
     kAny,
     "A processor does not answer the others.",
     {"Ticks of the performance counter a second.", "Now, in 100 ns.", "When the wait began, in 100 ns.", ""}},
    {stop::InvalidExtendedProcessorState,
     kAny,
     "Extended processor state was restored in another way than it was saved.",
     {"The NTSTATUS.", "The saved state.", "", ""}},
    {stop::DpcWatchdogViolation,
     0,
     "A single DPC or ISR has exceeded its time allotment.",
     {"0: a single DPC or ISR.", "How long it has run, in clock ticks.", "How long it may run, in clock ticks.", ""}},
    {stop::DpcWatchdogViolation,
     kAny,
     "A processor has spent too long at DISPATCH_LEVEL or above.",
     {"1: all time at DISPATCH_LEVEL or above.", "The watchdog's period, in clock ticks.", "", ""}},
    {stop::PassiveInterruptError,
     kAny,
     "Something was done with an interrupt whose routine runs at PASSIVE_LEVEL that only other interrupts have.",
     {"1: its spin lock was asked for or released.", "The interrupt object.", "", ""}},
    {stop::KernelSecurityCheckFailure,
     kAny,
     "A structure the kernel shares with drivers is corrupt.",
     {"What: 3 is a LIST_ENTRY.", "The list, or the object it is part of.", "", ""}},
    {stop::ThreadTerminateHeldMutex, kAny, "A thread has ended while it owned a mutex.", {"The thread.", "The mutex.", "", ""}},
};

constexpr bool every_row_can_stand() {
  for (std::size_t i = 0; i < std::size(kRows); ++i)
    for (std::size_t before = 0; before < i; ++before)
      if (kRows[before].code == kRows[i].code && (kRows[before].first == kAny || kRows[before].first == kRows[i].first)) return false;
  return true;
}
static_assert(every_row_can_stand());

std::string irql_name(unsigned irql) {
  switch (irql) {
    case 0: return "PASSIVE_LEVEL";
    case 1: return "APC_LEVEL";
    case 2: return "DISPATCH_LEVEL";
    case 12: return "SYNCH_LEVEL";
    case 13: return "CLOCK_LEVEL";
    case 14: return "IPI_LEVEL";
    case 15: return "HIGH_LEVEL";
    default: return "device level";
  }
}

bool equal_ignoring_case(std::string_view left, std::string_view right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); });
}

std::optional<unsigned long> number_of(const std::string& text) {
  char* end = nullptr;
  const unsigned long code = std::strtoul(text.c_str(), &end, 0);
  return end != text.c_str() && *end == '\0' ? std::optional(code) : std::nullopt;
}

}  // namespace

std::vector<std::string> stop_names() {
  std::vector<std::string> names;
  for (const Row& row : kRows)
    if (names.empty() || names.back() != name_of_stop(row.code)) names.emplace_back(name_of_stop(row.code));
  return names;
}

bool is_stop_code(const std::string& wanted) {
  const auto names = stop_names();
  return number_of(wanted) || std::any_of(names.begin(), names.end(), [&](const std::string& name) { return equal_ignoring_case(wanted, name); });
}

bool is_this_stop(const std::string& wanted, const lab::Bugcheck& stop) {
  return equal_ignoring_case(wanted, stop.name) || number_of(wanted) == stop.code;
}

StopMeaning meaning_of(const lab::Bugcheck& stop) {
  StopMeaning meaning;
  for (const Row& row : kRows) {
    if (row.code != stop.code || (row.first != kAny && row.first != stop.parameters[0])) continue;
    meaning.about = row.about;
    for (std::size_t i = 0; i < 4; ++i) meaning.parameters[i] = row.parameters[i].empty() ? "Reserved." : row.parameters[i];
    return meaning;
  }
  meaning.about = "A stop code of the driver's own: what it and its parameters mean, the driver's author knows.";
  meaning.parameters = {"The driver's.", "The driver's.", "The driver's.", "The driver's."};
  return meaning;
}

std::string stop_text(const lab::Bugcheck& stop, const ThreadName& thread) {
  const StopMeaning meaning = meaning_of(stop);
  const std::string stars(80, '*');
  std::string text = fmt::format("{0}\n*{1:^78}*\n{0}\n\n{2} ({3:x})\n{4}\n", stars, "Bugcheck Analysis", stop.name, stop.code, meaning.about);
  text += "Arguments:\n";
  for (std::size_t i = 0; i < 4; ++i) {
    text += fmt::format("Arg{}: {:016x}, {}", i + 1, stop.parameters[i], meaning.parameters[i]);
    text += stop.parameter_places[i].image.empty() ? "\n" : fmt::format(" It is {}.\n", stop.parameter_places[i].text());
  }
  text += fmt::format("\nHERE:       {}\n", stop.sentence);
  if (!stop.rule.empty()) text += fmt::format("RULE:       {}\n", stop.rule);
  text += fmt::format("PLACE:      {}\n", stop.place.text());
  text += fmt::format("PROCESSOR:  {} at IRQL {} ({})\n", stop.processor, stop.irql, irql_name(stop.irql));
  text += fmt::format("THREAD:     {}{}\n", thread.text, thread.borrowed ? ", borrowed: what ran is not this thread's own code" : "");
  text += "\nSTACK_TEXT:\n";
  for (std::size_t i = 0; i < stop.stack.size(); ++i) {
    text += fmt::format("{:02x} {:016x} {}\n", i, stop.stack[i].address, stop.stack[i].text());
    std::size_t last = i;
    while (last + 1 < stop.stack.size() && stop.stack[last + 1].address == stop.stack[i].address) ++last;
    if (last < i + 2) continue;
    text += fmt::format("   and {} times more, to {:02x}\n", last - i, last);
    i = last;
  }
  text +=
      fmt::format("\nFAILURE_BUCKET_ID:  {:#x}_{}!{}\n", stop.code, stop.place.image, stop.place.function.empty() ? "unknown" : stop.place.function);
  return text;
}

}  // namespace kdpc::tool
