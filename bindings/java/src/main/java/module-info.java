/** Long-context generation by ReAttention: the Java binding of libreattn. */
module org.reattn {
  exports org.reattn;
}
