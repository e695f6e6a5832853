/** The program of somebody who has only the packaged binding. */
module org.example.outside {
  requires org.reattn;
}
