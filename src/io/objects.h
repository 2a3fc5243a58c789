// Driver, device and file objects: what a driver sees of them comes first in each, what belongs to the I/O manager lies behind.
#pragma once
#include "io/names.h"

namespace kdpc::io {

struct PhysicalDevice;
struct IoTimer;

struct ClientExtension {
  ClientExtension* next;  // R
  const void* client;     // I  the address by which the driver finds it again
  std::size_t size;       // I
  std::byte memory[];
};

struct Driver {
  DRIVER_OBJECT object;  // what the driver was given
  DRIVER_EXTENSION extension;
  Driver* next;                        // R
  UNICODE_STRING registry_path;        // I
  ClientExtension* client_extensions;  // R
};

// What a call of IoStartNextPacket(ByKey) asks for.
struct StartIoWish {
  bool cancelable;
  bool by_key;
  ULONG key;
};

// What IoSetStartIoAttributes asked for, and who is inside StartIo (start_io.cc). Q: the lock of the device's queue.
struct StartIoState {
  bool deferred;        // I
  bool non_cancelable;  // I
  bool inside;          // Q
  bool next_wanted;     // Q  StartIo was asked for the next IRP meanwhile …
  StartIoWish wish;     // Q  … like this
};

// Follows the driver's device extension in the same block.
struct DeviceState {
  DEVOBJ_EXTENSION header;     // device.DeviceObjectExtension points here
  DEVICE_OBJECT* attached_to;  // R  the device below
  std::uint32_t references;    // R  beside the open files, which DEVICE_OBJECT::ReferenceCount counts
  bool delete_pending;         // R  IoDeleteDevice was called; the last reference frees it
  POWER_STATE power_state;     // X  what PoSetPowerState said last
  PhysicalDevice* physical;    // I  of a device the root bus has found, else null
  IoTimer* timer;              // I  after IoInitializeTimer
  StartIoState start_io;
  bool wants_shutdown;  // R  IoRegisterShutdownNotification
};
inline DeviceState& state_of(const DEVICE_OBJECT* device) { return *reinterpret_cast<DeviceState*>(device->DeviceObjectExtension); }
inline Driver& driver_of(const DEVICE_OBJECT* device) { return *reinterpret_cast<Driver*>(device->DriverObject); }

namespace driver {

// An object with NT's defaults: every MajorFunction answers STATUS_INVALID_DEVICE_REQUEST. Null: no memory.
Driver* create(std::u16string_view name, DRIVER_INITIALIZE* entry, void* image, std::size_t size);
// The last act of unloading. Devices that are left are a mistake of the driver's, said as a remark.
void destroy(Driver& driver);
// \Driver\<name>; null: not loaded.
Driver* find(std::u16string_view name);
// Has the driver of this name a routine of its own for IRP_MJ_…? No: it is not loaded, or NT's answers. On the host context.
bool serves(std::string_view name, UCHAR major);
// Of an address that may be any: is it a loaded driver's?
bool is_loaded(const Driver& driver);

}  // namespace driver

namespace device {

NTSTATUS create(Driver& driver, std::size_t extension_size, std::u16string_view name, DEVICE_TYPE type, ULONG characteristics, bool exclusive,
                DEVICE_OBJECT*& created);
// Frees now, or with the last reference.
void remove(DEVICE_OBJECT* device);
// The count afterwards.
std::uint32_t reference(DEVICE_OBJECT* device);
std::uint32_t dereference(DEVICE_OBJECT* device);
// The uppermost device of the stack.
DEVICE_OBJECT* top_of(DEVICE_OBJECT* device);
// An open file keeps its device. Refused: it may not be opened. By whoever holds the lock.
NTSTATUS count_open_locked(DEVICE_OBJECT* device);
void count_close(DEVICE_OBJECT* device);

}  // namespace device
}  // namespace kdpc::io
