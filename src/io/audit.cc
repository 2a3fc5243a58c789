// What a driver leaves behind when it is unloaded (PNP-3). For interrupts, timers, DPCs and work items NT stops now or when they next call into
// memory that is gone; pool, devices and handles are lost for good, which NT's Verifier stops for and we say.
#include "io/pnp.h"
#include "io/work_item.h"
#include "kernel/scheduler.h"
#include "kernel/thread.h"

namespace kdpc::io {

namespace {

bool is_inside(std::uintptr_t address, const DRIVER_OBJECT& image) {
  const auto start = reinterpret_cast<std::uintptr_t>(image.DriverStart);
  return address >= start && address - start < image.DriverSize;
}

// The system will run code of the image when it is gone: NT stops with 0xCE when that happens.
[[noreturn]] void fail_running_later(std::uintptr_t routine, const void* object, const char* sentence) {
  bug_check(stop::DriverUnloadedWithoutCancellingPendingOperations, {routine, 8, routine, as_parameter(object)}, sentence, "PNP-3");
}

void audit_interrupts(const DRIVER_OBJECT& image) {
  for (const unsigned number : active_processors())
    for (unsigned vector = 0; vector < 256; ++vector)
      for (const Interrupt* object = processor(number).vectors[vector]; object != nullptr; object = object->next) {
        const std::uintptr_t routine = interrupt::routine_of(*object);
        if (is_inside(routine, image))
          fail_running_later(routine, object,
                             "A driver is unloaded, or has refused to start, while its interrupt is still connected; NT stops when the next "
                             "interrupt calls the routine that is gone.");
      }
}

void audit_threads(const DRIVER_OBJECT& image) {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  for (Link* link = sys().threads.first(); link != nullptr; link = sys().threads.after(link)) {
    const Thread* thread = owner_of<&Thread::all_link>(link);
    const auto routine = reinterpret_cast<std::uintptr_t>(thread->routine);
    if (thread->state != ThreadState::Terminated && is_inside(routine, image))
      fail_running_later(routine, thread, "A driver is unloaded while a thread that it created still runs in it.");
  }
  scheduler::release_dispatcher_lock(previous);
}

void audit_work_items(const DRIVER_OBJECT& image) {
  for (WorkerPool& pool : sys().workers) {
    Locked<Irql::Dispatch> locked(pool.lock, LockKind::System);
    for (Link* link = pool.items.first(); link != nullptr; link = pool.items.after(link)) {
      const WorkItem* item = owner_of<&WorkItem::link>(link);
      const auto routine = reinterpret_cast<std::uintptr_t>(work_item::routine_of(*item));
      if (is_inside(routine, image)) fail_running_later(routine, item, "A driver is unloaded while a work item is queued that will call it.");
    }
  }
}

// Where a driver's code asked for something: the offset in its image, because an address says nothing to people.
unsigned long long offset_of(std::uintptr_t caller, const DRIVER_OBJECT& image) {
  return caller - reinterpret_cast<std::uintptr_t>(image.DriverStart);
}

// What the system allocates for a driver is named for what it is.
const char* name_of(std::uint32_t tag) {
  switch (tag) {
    case pool_tag("Irp "): return "an IRP";
    case pool_tag("Mdl "): return "an MDL";
    case pool_tag("IoWi"): return "a work item";
    case pool_tag("RegH"): return "a handle of a registry key";
    case pool_tag("DmaA"): return "a DMA adapter";
    default: return nullptr;
  }
}

void say_pool(const DRIVER_OBJECT& image) {
  constexpr unsigned kMostSaid = 5;
  unsigned leaked = 0;
  sys().pool.for_each_live([&](const PoolBlock& block, const std::byte*) {
    if (!is_inside(block.caller, image) || ++leaked > kMostSaid) return;
    if (const char* name = name_of(block.tag)) {
      remark("kdpc: the driver is unloaded, but has not freed %s that it asked for at its offset 0x%llx", name, offset_of(block.caller, image));
      return;
    }
    char tag[5] = {};
    std::memcpy(tag, &block.tag, 4);
    remark("kdpc: the driver is unloaded, but has not freed %llu bytes of pool with tag '%s', allocated at its offset 0x%llx",
           static_cast<unsigned long long>(block.size), tag, offset_of(block.caller, image));
  });
  if (leaked > kMostSaid) remark("kdpc: … and %u more blocks of pool", leaked - kMostSaid);
}

void say_devices(const DRIVER_OBJECT& image) {
  for (const DEVICE_OBJECT* device = image.DeviceObject; device != nullptr; device = device->NextDevice)
    remark("kdpc: the driver was unloaded but has not deleted a device object");
}

}  // namespace

void audit_driver(const DRIVER_OBJECT& image) {
  if (image.DriverStart != nullptr) {
    audit_interrupts(image);
    audit_code(image.DriverStart, image.DriverSize);
    audit_range(image.DriverStart, image.DriverSize);
    audit_work_items(image);
    audit_threads(image);
    say_pool(image);
  }
  say_devices(image);
}

}  // namespace kdpc::io
