#include "kernel/object.h"

#include <algorithm>
#include <cstring>

#include "kernel/bugcheck.h"
#include "kernel/pageable.h"
#include "kernel/scheduler.h"
#include "kernel/system.h"
#include "this_machine.h"

namespace kdpc::object {

namespace {

constexpr std::uint32_t kHandleTag = pool_tag("Hndl");
constexpr std::uint32_t kEventTag = pool_tag("Even");
constexpr std::uintptr_t kHandleMark = 1;

struct Handle {
  Link link;                 // D  in System::handles
  DispatcherHeader* object;  // I
};

class DispatcherLocked {
 public:
  DispatcherLocked() : previous_(scheduler::acquire_dispatcher_lock()) {}
  ~DispatcherLocked() { scheduler::release_dispatcher_lock(previous_); }
  DispatcherLocked(const DispatcherLocked&) = delete;
  DispatcherLocked& operator=(const DispatcherLocked&) = delete;

 private:
  Irql previous_;
  MayTouchPageable names_{previous_};
};

Handle* find_handle_locked(std::uintptr_t value) {
  if ((value & kHandleMark) == 0) return nullptr;
  for (Link* link = sys().handles.first(); link != nullptr; link = sys().handles.after(link))
    if (Handle* handle = owner_of<&Handle::link>(link); reinterpret_cast<std::uintptr_t>(handle) == (value & ~kHandleMark)) return handle;
  return nullptr;
}

OwnEvent* find_own_locked(const DispatcherHeader& object) {
  for (Link* link = sys().events.first(); link != nullptr; link = sys().events.after(link))
    if (OwnEvent* own = owner_of<&OwnEvent::link>(link); &own->event.header == &object) return own;
  return nullptr;
}

char16_t folded(char16_t letter) { return letter >= u'a' && letter <= u'z' ? static_cast<char16_t>(letter - u'a' + u'A') : letter; }

bool is_called(const OwnEvent& event, std::u16string_view name) {
  if (event.name_length != name.size() || name.empty()) return false;
  for (std::size_t index = 0; index < name.size(); ++index)
    if (folded(event.name[index]) != folded(name[index])) return false;
  return true;
}

bool is_thread(const DispatcherHeader& object) { return object.type == static_cast<std::uint8_t>(ObjectType::Thread); }

OwnEvent& checked_own_locked(DispatcherHeader& object) {
  OwnEvent* own = find_own_locked(object);
  if (own == nullptr)
    bug_check(stop::ReferenceByPointer, {0, as_parameter(&object), 0, 0}, "Something was referenced or dereferenced that is no object.", "0x18");
  return *own;
}

}  // namespace

std::uintptr_t open(DispatcherHeader& object) {
  auto* handle = static_cast<Handle*>(sys().pool.allocate(sizeof(Handle), kHandleTag, PoolType::NonPaged, Pool::kObject));
  if (handle == nullptr) return 0;
  handle->object = &object;
  DispatcherLocked locked;
  sys().handles.push_back(handle->link);
  return reinterpret_cast<std::uintptr_t>(handle) | kHandleMark;
}

DispatcherHeader* reference_by_handle(std::uintptr_t value) {
  DispatcherHeader* object = nullptr;
  {
    DispatcherLocked locked;
    const Handle* handle = find_handle_locked(value);
    if (handle == nullptr) return nullptr;
    object = handle->object;
    if (is_thread(*object)) {
      ++reinterpret_cast<Thread*>(object)->references;
    } else {
      ++checked_own_locked(*object).references;
    }
  }
  return object;
}

bool close(std::uintptr_t value) {
  Handle* handle = nullptr;
  {
    DispatcherLocked locked;
    handle = find_handle_locked(value);
    if (handle != nullptr) List::remove(handle->link);
  }
  if (handle == nullptr) return false;
  release(*handle->object);
  sys().pool.free(handle, kHandleTag);
  return true;
}

std::int64_t reference(DispatcherHeader& object) {
  if (is_thread(object)) return thread::reference(reinterpret_cast<Thread&>(object));
  DispatcherLocked locked;
  return ++checked_own_locked(object).references;
}

std::int64_t release(DispatcherHeader& object) {
  if (is_thread(object)) return thread::release(reinterpret_cast<Thread&>(object));
  OwnEvent* last = nullptr;
  std::int64_t left = 0;
  {
    DispatcherLocked locked;
    OwnEvent& own = checked_own_locked(object);
    left = --own.references;
    if (left == 0) {
      List::remove(own.link);
      last = &own;
    }
  }
  if (last != nullptr) sys().pool.free(last, kEventTag);
  return left;
}

OwnEvent* create_event(std::u16string_view name, ObjectType type, bool signalled) {
  auto* event = static_cast<OwnEvent*>(sys().pool.allocate(sizeof(OwnEvent) + name.size() * sizeof(char16_t), kEventTag));
  if (event == nullptr) return nullptr;
  event->references = 1;
  event->name_length = static_cast<std::uint32_t>(name.size());
  std::copy(name.begin(), name.end(), event->name);
  wait::initialize_event(event->event, type, signalled);
  DispatcherLocked locked;
  sys().events.push_back(event->link);
  return event;
}

OwnEvent* find_event(std::u16string_view name) {
  DispatcherLocked locked;
  for (Link* link = sys().events.first(); link != nullptr; link = sys().events.after(link)) {
    OwnEvent* event = owner_of<&OwnEvent::link>(link);
    if (!is_called(*event, name)) continue;
    ++event->references;
    return event;
  }
  return nullptr;
}

}  // namespace kdpc::object
