/* reattn.i: how SWIG turns reattn.h into the Java package org.reattn.raw.
 *
 * A C function is a static method of Raw with the function's name, a struct a class with the
 * struct's name, a constant a constant of RawConstants. What differs from the C signature:
 *   handles         long; `T** out` is a long[1] that receives one
 *   text, paths     byte[] with UTF-8, both ways; Java's own modified UTF-8 is never involved
 *   buf, cap        an array and its length; null is a capacity of 0
 *   T* out          an array of one
 *   uint64_t        long, the 64 bits as they are
 *   reattn_span*    long[], three to a span: begin, end, votes
 *   reattn_error**  no parameter: a negative status is thrown as org.reattn.ReattnException, but
 *                   for REATTN_E_BUFFER, which is returned and means: call again with more room
 * Structs come with struct_size filled in and all else 0; they are closed by hand.
 * Arrays are copied, not pinned: a call may last for minutes, and must not hold up the collector.
 */
%module Raw
%{
#include <reattn/reattn.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(reattn_span) == 3 * sizeof(jlong), "a span is three numbers");

/* Takes `error`, which may be NULL where memory ran out. */
static void reattn_throw(JNIEnv* env, reattn_status status, reattn_error* error) {
  const char* message = error ? reattn_error_message(error) : reattn_status_name(status);
  const jsize n = (jsize)strlen(message);
  jclass type = (*env)->FindClass(env, "org/reattn/ReattnException");
  jbyteArray bytes = type ? (*env)->NewByteArray(env, n) : NULL;
  if (bytes) {
    (*env)->SetByteArrayRegion(env, bytes, 0, n, (const jbyte*)message);
    jmethodID init = (*env)->GetMethodID(env, type, "<init>", "(I[B)V");
    jobject exception = init ? (*env)->NewObject(env, type, init, (jint)status, bytes) : NULL;
    if (exception) (*env)->Throw(env, (jthrowable)exception);
  }
  reattn_error_free(error);
}
%}

%pragma(java) jniclasscode=%{
  static { NativeLibrary.load(); }
%}
%javaconst(1);

/* ---- Numbers ---- */
typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef long long uint64_t; /* for SWIG only, which would make a BigInteger of it */

/* ---- Structs ---- */
%typemap(javafinalize) SWIGTYPE ""
%typemap(javaclassmodifiers) SWIGTYPE "public final class"
%typemap(javainterfaces) SWIGTYPE "AutoCloseable"
%typemap(javacode) SWIGTYPE %{
  @Override public void close() { delete(); }
%}
%define STRUCT(T)
%nodefaultctor T;
%nodefaultdtor T;
%exception T::T %{
  $action
  if (!result) {
    SWIG_JavaThrowException(jenv, SWIG_JavaOutOfMemoryError, #T);
    return $null;
  }
%}
%extend T {
  T() {
    T* made = calloc(1, sizeof(T));
    if (made) made->struct_size = sizeof(T);
    return made;
  }
  ~T() { free($self); }
}
%ignore T::struct_size;
%enddef
STRUCT(reattn_log_event)
STRUCT(reattn_device_info)
STRUCT(reattn_model_options)
STRUCT(reattn_geometry)
STRUCT(reattn_load_progress)
STRUCT(reattn_model_info)
STRUCT(reattn_session_options)
STRUCT(reattn_memory_plan)
STRUCT(reattn_session_info)
STRUCT(reattn_cache_info)
STRUCT(reattn_request_options)
STRUCT(reattn_event)
STRUCT(reattn_request_stats)
%ignore reattn_span;

/* sizeof is known here: `size` is no parameter in Java. */
%define INIT(T)
%typemap(jni) (T* out_options, size_t size) "jlong"
%typemap(jtype) (T* out_options, size_t size) "long"
%typemap(jstype) (T* out_options, size_t size) #T
%typemap(javain) (T* out_options, size_t size) #T ".getCPtr($javainput)"
%typemap(in) (T* out_options, size_t size) %{
  $1 = (T*)(intptr_t)$input;
  $2 = sizeof(T);
%}
%enddef
INIT(reattn_model_options)
INIT(reattn_session_options)
INIT(reattn_request_options)

/* ---- Handles ---- */
%define HANDLE(T)
%typemap(jni) T*, const T* "jlong"
%typemap(jtype) T*, const T* "long"
%typemap(jstype) T*, const T* "long"
%typemap(javain) T*, const T* "$javainput"
%typemap(in) T*, const T* %{ $1 = (T*)(intptr_t)$input; %}
%typemap(jni) T** "jlongArray"
%typemap(jtype) T** "long[]"
%typemap(jstype) T** "long[]"
%typemap(javain) T** "$javainput"
%typemap(in) T** (T* made) %{
  made = NULL;
  $1 = &made;
%}
%typemap(argout) T** %{
  if (made$argnum) {
    const jlong handle = (jlong)(intptr_t)made$argnum;
    (*jenv)->SetLongArrayRegion(jenv, $input, 0, 1, &handle);
  }
%}
%enddef
HANDLE(reattn_model)
HANDLE(reattn_session)
HANDLE(reattn_cache)
HANDLE(reattn_request)
HANDLE(reattn_queue)

/* ---- Errors: the last parameter of its function, so that nothing comes after the throw ---- */
%typemap(in, numinputs=0) reattn_error** err (reattn_error* error) %{
  error = NULL;
  $1 = &error;
%}
%typemap(argout) reattn_error** err %{
  if (result < 0 && result != REATTN_E_BUFFER) {
    reattn_throw(jenv, result, error$argnum);
  } else {
    reattn_error_free(error$argnum);
  }
%}
%ignore reattn_error_code;
%ignore reattn_error_message;
%ignore reattn_error_free;

/* ---- Arrays ---- */
/* What C only reads is freed without being copied back. */
%define ARRAY(JNI, JAVA, NAME, ELEMENT, PER_ELEMENT, C, SIZE, RELEASE)
%typemap(jni) (C, SIZE) JNI
%typemap(jtype) (C, SIZE) JAVA
%typemap(jstype) (C, SIZE) JAVA
%typemap(javain) (C, SIZE) "$javainput"
%typemap(in) (C, SIZE) %{
  $1 = NULL;
  $2 = 0;
  if ($input) {
    $1 = ($1_ltype)(*jenv)->Get##NAME##ArrayElements(jenv, $input, NULL);
    if (!$1) return $null; /* an OutOfMemoryError is pending */
    $2 = (uint64_t)(*jenv)->GetArrayLength(jenv, $input) / PER_ELEMENT;
  }
%}
%typemap(freearg) (C, SIZE) %{
  if ($1) (*jenv)->Release##NAME##ArrayElements(jenv, $input, (ELEMENT*)$1, RELEASE);
%}
%enddef
ARRAY("jbyteArray", "byte[]", Byte, jbyte, 1, const uint8_t* text, uint64_t text_bytes, JNI_ABORT)
ARRAY("jbyteArray", "byte[]", Byte, jbyte, 1, const uint8_t* schema, uint64_t schema_bytes, JNI_ABORT)
ARRAY("jbyteArray", "byte[]", Byte, jbyte, 1, const uint8_t* path, uint64_t path_bytes, JNI_ABORT)
ARRAY("jbyteArray", "byte[]", Byte, jbyte, 1, const uint8_t* messages, uint64_t messages_bytes,
      JNI_ABORT)
ARRAY("jintArray", "int[]", Int, jint, 1, const int32_t* ids, uint64_t n_ids, JNI_ABORT)
ARRAY("jbyteArray", "byte[]", Byte, jbyte, 1, uint8_t* buf, uint64_t cap, 0)
ARRAY("jbyteArray", "byte[]", Byte, jbyte, 1, uint8_t* key, uint64_t key_cap, 0)
ARRAY("jbyteArray", "byte[]", Byte, jbyte, 1, uint8_t* value, uint64_t value_cap, 0)
ARRAY("jintArray", "int[]", Int, jint, 1, int32_t* ids, uint64_t cap, 0)
ARRAY("jfloatArray", "float[]", Float, jfloat, 1, float* logits, uint64_t cap, 0)
ARRAY("jfloatArray", "float[]", Float, jfloat, 1, float* logprobs, uint64_t cap, 0)
ARRAY("jlongArray", "long[]", Long, jlong, 3, reattn_span* spans, uint64_t cap, 0)

/* ---- Numbers that come out; what C leaves alone keeps its value ---- */
%define OUTPUT(JNI, JAVA, NAME, ELEMENT, C)
%typemap(jni) C JNI
%typemap(jtype) C JAVA
%typemap(jstype) C JAVA
%typemap(javain) C "$javainput"
%typemap(in) C ($*1_ltype number) %{
  $1 = NULL;
  if ($input) {
    ELEMENT before;
    (*jenv)->Get##NAME##ArrayRegion(jenv, $input, 0, 1, &before);
    if ((*jenv)->ExceptionCheck(jenv)) return $null;
    number = ($*1_ltype)before;
    $1 = &number;
  }
%}
%typemap(argout) C %{
  if ($1) {
    const ELEMENT after = (ELEMENT)*$1;
    (*jenv)->Set##NAME##ArrayRegion(jenv, $input, 0, 1, &after);
  }
%}
%enddef
OUTPUT("jlongArray", "long[]", Long, jlong, uint64_t* needed)
OUTPUT("jlongArray", "long[]", Long, jlong, uint64_t* key_needed)
OUTPUT("jlongArray", "long[]", Long, jlong, uint64_t* value_needed)
OUTPUT("jlongArray", "long[]", Long, jlong, uint64_t* out_tag)
OUTPUT("jintArray", "int[]", Int, jint, int32_t* out_count)

/* ---- Text that comes out ---- */
%define TEXT(C, LENGTH)
%typemap(jni) C "jbyteArray"
%typemap(jtype) C "byte[]"
%typemap(jstype) C "byte[]"
%typemap(javaout) C { return $jnicall; }
%typemap(out) C %{
  {
    const jsize n = (jsize)LENGTH;
    $result = (*jenv)->NewByteArray(jenv, n);
    if ($result) (*jenv)->SetByteArrayRegion(jenv, $result, 0, n, (const jbyte*)$1);
  }
%}
%enddef
TEXT(const char*, strlen($1))
TEXT(char[ANY], strnlen($1, $1_dim0))
%immutable reattn_device_info::name;
%immutable reattn_device_info::instructions;

%include <reattn/reattn.h>
