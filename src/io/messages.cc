#include "io/messages.h"

#include <algorithm>

namespace kdpc::io::messages {

namespace {

// Where a PC's processors listen for messages, and how one is told which of them is meant.
constexpr LONGLONG kMessageAddress = 0xFEE00000;
constexpr unsigned kDestinationShift = 12;

Irql highest_level(const PhysicalDevice& device) {
  Irql highest = Irql::Passive;
  for (unsigned message = 0; message < device.message_count; ++message) highest = std::max(highest, irql_of(device.messages[message]));
  return highest;
}

void describe(IO_INTERRUPT_MESSAGE_INFO_ENTRY& entry, const InterruptSpec& spec, Interrupt* object) {
  entry.MessageAddress.QuadPart = kMessageAddress | static_cast<LONGLONG>(spec.processors.lowest()) << kDestinationShift;
  entry.TargetProcessorSet = spec.processors.mask();
  entry.InterruptObject = wdk::as_kinterrupt(object);
  entry.MessageData = spec.vector;
  entry.Vector = spec.vector;
  entry.Irql = static_cast<KIRQL>(spec.irql);
  entry.Mode = Latched;
  entry.Polarity = InterruptRisingEdge;
}

void disconnect_all(MessageTable& table) {
  for (ULONG message = 0; message < table.info.MessageCount; ++message)
    interrupt::disconnect(&wdk::as_interrupt(table.info.MessageInfo[message].InterruptObject));
}

// Where the list names this table; the end of the list if nowhere.
MessageTable** find_locked(const IO_INTERRUPT_MESSAGE_INFO* info) {
  MessageTable** slot = &manager().message_tables;
  while (*slot != nullptr && &(*slot)->info != info) slot = &(*slot)->next;
  return slot;
}

[[noreturn]] void refuse(const IO_INTERRUPT_MESSAGE_INFO* info) {
  bug_check(stop::BadPoolCaller, {7, 0, 0, as_parameter(info)},
            "A routine was given a message table that is not connected, or another kind of object than Version says.", "INT-9");
}

}  // namespace

NTSTATUS status_of(ConnectResult result) {
  switch (result) {
    case ConnectResult::Connected: return STATUS_SUCCESS;
    case ConnectResult::NoMemory: return STATUS_INSUFFICIENT_RESOURCES;
    case ConnectResult::NoProcessor:
    case ConnectResult::BadParameter:
    case ConnectResult::VectorTaken: return STATUS_INVALID_PARAMETER;  // INT-1
  }
  return STATUS_INVALID_PARAMETER;
}

NTSTATUS connect(const PhysicalDevice& device, const IO_CONNECT_INTERRUPT_MESSAGE_BASED_PARAMETERS& wanted, IO_INTERRUPT_MESSAGE_INFO*& table) {
  auto* made = make<MessageTable>(sizeof(MessageTable) + (device.message_count - 1) * sizeof(IO_INTERRUPT_MESSAGE_INFO_ENTRY));
  if (made == nullptr) return STATUS_INSUFFICIENT_RESOURCES;
  const Irql unified = std::max(static_cast<Irql>(wanted.SynchronizeIrql), highest_level(device));
  made->info.UnifiedIrql = static_cast<KIRQL>(unified);
  InterruptSpec spec;
  spec.message_routine = reinterpret_cast<MessageServiceRoutine*>(wanted.MessageServiceRoutine);
  spec.context = wanted.ServiceContext;
  // One lock for all messages only if the driver brings it: the documents promise nothing else.
  spec.lock = wanted.SpinLock != nullptr ? &wdk::as_lock(wanted.SpinLock) : nullptr;
  if (spec.lock == nullptr && sys().options.message_lock == Options::MessageLock::Shared) spec.lock = &made->lock;
  spec.synchronize_irql = unified;
  spec.trigger = Trigger::Latched;
  spec.processors = active_processors();
  for (unsigned message = 0; message < device.message_count; ++message) {
    spec.message = message;
    spec.vector = device.messages[message];
    spec.irql = irql_of(spec.vector);
    Interrupt* object = nullptr;
    if (const ConnectResult result = interrupt::connect(spec, object); result != ConnectResult::Connected) {
      disconnect_all(*made);  // K.MSG-1
      discard(made);
      return status_of(result);
    }
    describe(made->info.MessageInfo[message], spec, object);
    ++made->info.MessageCount;
  }
  {
    Guard guard;
    made->next = manager().message_tables;
    manager().message_tables = made;
  }
  table = &made->info;
  return STATUS_SUCCESS;
}

void disconnect(const IO_INTERRUPT_MESSAGE_INFO* info) {
  MessageTable* table = nullptr;
  {
    Guard guard;
    MessageTable** slot = find_locked(info);
    table = *slot;
    if (table != nullptr) *slot = table->next;
  }
  if (table == nullptr) refuse(info);
  disconnect_all(*table);
  discard(table);
}

void set_active(const IO_INTERRUPT_MESSAGE_INFO* info, bool active) {
  bool known = false;
  {
    Guard guard;
    known = *find_locked(info) != nullptr;
  }
  if (!known) refuse(info);
  for (ULONG message = 0; message < info->MessageCount; ++message)
    interrupt::set_active(&wdk::as_interrupt(info->MessageInfo[message].InterruptObject), active);
}

}  // namespace kdpc::io::messages
