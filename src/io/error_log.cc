// The error log: what a driver reports is shown among what drivers print. Texts of message files are not looked up; the code says what happened.
#include "io/objects.h"
#include "wdk/may_fail.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::io;

namespace {

constexpr std::uint32_t kLogTag = pool_tag("IoEr");

struct LogEntry {
  void* object;  // I  a device or driver object
  UCHAR size;    // I
  UCHAR unused[7];
  IO_ERROR_LOG_PACKET packet;  // what the driver was given
};

LogEntry* entry_of(PVOID packet) { return CONTAINING_RECORD(packet, LogEntry, packet); }

Driver& driver_of_object(void* object) {
  const bool is_device = *static_cast<CSHORT*>(object) == IO_TYPE_DEVICE;
  return is_device ? driver_of(static_cast<DEVICE_OBJECT*>(object)) : *static_cast<Driver*>(object);
}

}  // namespace

extern "C" {

PVOID NTAPI IoAllocateErrorLogEntry(PVOID IoObject, UCHAR EntrySize) {
  KDPC_ROUTINE(IoAllocateErrorLogEntry);
  KDPC_MAY_FAIL(IoAllocateErrorLogEntry, nullptr);
  if (IoObject == nullptr || EntrySize < sizeof(IO_ERROR_LOG_PACKET) || EntrySize > ERROR_LOG_MAXIMUM_SIZE) return nullptr;
  auto* entry = make<LogEntry>(offsetof(LogEntry, packet) + EntrySize, kLogTag);
  if (entry == nullptr) return nullptr;
  entry->object = IoObject;
  entry->size = EntrySize;
  return &entry->packet;
}

VOID NTAPI IoWriteErrorLogEntry(PVOID ElEntry) {
  KDPC_ROUTINE(IoWriteErrorLogEntry);
  LogEntry* entry = entry_of(ElEntry);
  char name[32] = {};
  const std::u16string_view service = view(driver_of_object(entry->object).extension.ServiceKeyName);
  for (std::size_t i = 0; i < service.size() && i + 1 < sizeof name; ++i) name[i] = static_cast<char>(service[i]);
  remark("kdpc: %s writes to the error log: code 0x%08X, final status 0x%08X, unique value 0x%X", name,
         static_cast<unsigned>(entry->packet.ErrorCode), static_cast<unsigned>(entry->packet.FinalStatus),
         static_cast<unsigned>(entry->packet.UniqueErrorValue));
  discard(entry, kLogTag);
}

VOID NTAPI IoFreeErrorLogEntry(PVOID ElEntry) {
  KDPC_ROUTINE(IoFreeErrorLogEntry);
  discard(entry_of(ElEntry), kLogTag);
}

}  // extern "C"
