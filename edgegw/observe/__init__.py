"""What happened, recorded: metrics, access records. Recording only; `edgegw.export` carries records out of the process."""
