// Objects and handles of the I/O manager, for the routines that take any object. wdk/ does not know io/; these are defined there
// (io/object_references.cc).
#pragma once
#include <cstdint>

namespace kdpc::wdk::io_object {

// Device, driver and file objects.
bool is_one(const void* object);
// At most Dispatch. The count afterwards. The last reference to a deleted device or a closed file frees it.
std::int64_t reference(void* object);
std::int64_t dereference(void* object);

// Passive. False: the handle is not one of the I/O manager's. Those of registry keys are marked with 2, threads' with 1.
bool close(std::uintptr_t handle);

}  // namespace kdpc::wdk::io_object
